"""A detector and a segmenter beside their spiking networks, from `dense-NAME.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paper import markdown
from paper.answers.records import read_records

_HEAD = ("answer", "neuron", "T", "mean IoU", "with the ANN", "steps", "energy / int8 ANN")


@dataclass(frozen=True)
class Overlap:
    """Intersection over union, 0 .. 1: its mean over canvases, and half of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f}"


@dataclass(frozen=True)
class DenseRow:
    """One network on all canvases.

    Attributes:
        task: "boxes" or "masks".
        neuron: as the command line spells it, or "ANN".
        steps: T; 0 of the ANN.
        truth, ann: overlap with the truth and with the ANN's answer.
        latency: time steps until the answer; of spike tracers until the last sample has settled.
        energy: arithmetic in integers over that of the ANN with weights and activations of 8 bits.
    """

    task: str
    neuron: str
    steps: int
    truth: Overlap
    ann: Overlap
    latency: int | None
    energy: float | None

    @property
    def cells(self) -> list[str]:
        """As the page has them, in the order of the head."""
        if self.latency is None or self.energy is None:
            return [self.task, self.neuron, "-", str(self.truth), "-", "-", "-"]
        told = (str(self.truth), str(self.ann), f"{self.latency}", f"{self.energy:.2f}")
        return [self.task, f"`{self.neuron}`", f"{self.steps}", *told]


@dataclass(frozen=True)
class Dense:
    """A record.

    Attributes:
        picture: a file beside it.
        config: "train" and "tested", numbers of canvases.
        rows: a network on a task each.
    """

    picture: str
    config: Mapping[str, int]
    rows: tuple[DenseRow, ...]


def dense_answers(folder: Path | None) -> list[str]:
    """The pictures of the records in a folder beside the page, with their tables."""
    if folder is None:
        return []
    records = read_records(folder, "dense", Dense)
    return [_told(record, f"{folder.name}/{record.picture}") for record in records]


def _told(record: Dense, link: str) -> str:
    train, tested = (f"{record.config[name]:,}" for name in ("train", "tested"))
    return f"""\
**A detector and a segmenter**: centre heat map and box regression on a feature pyramid, and a U-Net
with skip connections, both trained here on {train} canvases of handwritten digits and converted by
default; the host decodes boxes and suppresses doubles. Of {tested} canvases of other digits the
first with the most digits is shown, with `nearest:binary`; the mean IoU (intersection over union)
beneath is of all of them, in the table with a normal 95 % interval. `python -m docs_tools dense`
trains, converts, measures and draws them again.

![An image, and boxes and masks of the ANN and of spiking networks at T = 4 and T = 8]({link})

{markdown.table(_HEAD, [row.cells for row in record.rows])}
"""
