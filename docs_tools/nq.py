"""The table of docs/methods/nq.md: the same fine-tuning with residual noise and without."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

import spikewright as sw
from paper import markdown
from spikewright.data import open_dataset
from spikewright.measure.statistics import mcnemar_exact
from spikewright.methods.finetune import NQ
from spikewright.network import SpikingNetwork
from spikewright.runs import load_model
from spikewright.runs.zoo import zoo_entries
from spikewright.training import finetune_in_memory
from spikewright.version import __version__

RECORD = Path("docs/results/nq-resnet20.json")
SOURCE = "resnet20-qcfs8-cifar10"
LEVELS = 8


@dataclass(frozen=True)
class Row:
    """One pair of runs on the same images in the same order, tested on the same images.

    Attributes:
        steps: T at which test images are answered; noise was measured at 4.
        seed: of the images, their order and the noise.
        images: test images.
        before: right before fine-tuning.
        plain: right after fine-tuning without noise.
        noisy: right after fine-tuning with residual noise.
        only_plain: right without noise alone.
        only_noisy: right with noise alone.
    """

    steps: int
    seed: int
    images: int
    before: int
    plain: int
    noisy: int
    only_plain: int
    only_noisy: int

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them."""
        rights = (self.before, self.plain, self.noisy)
        accuracies = (f"{100 * right / self.images:.2f} %" for right in rights)
        p = mcnemar_exact(self.only_plain, self.only_noisy)
        return (f"{self.steps}", f"{self.seed}", *accuracies, f"{p:.1g}")


def measured(
    data: str, steps: Sequence[int], seeds: Sequence[int], images: int, tested: int, epochs: int
) -> Iterator[Row]:
    """Fine-tune with and without noise by every seed, and test at every T.

    Args:
        data: the images, as `spikewright.data.open_dataset` names them.
        steps: every T; noise is measured, and epochs are chosen, at the last one.
        images: of the training split, drawn by the seed; every fourth one chooses the epoch.
        tested: of the test split, the same for all.
    """
    shown, names = _drawn(data, "test", tested, 0)
    for seed in seeds:
        x, labels = _drawn(data, "train", images, seed)
        model = load_model(f"zoo:{SOURCE}")
        snn = sw.methods.QCFS.convert(model, x[:256], steps=steps[-1])
        networks = [snn]
        for noise in (0.0, 1.0):
            method = NQ(epochs=epochs, batch_size=32, levels=LEVELS, noise=noise)
            networks.append(finetune_in_memory(snn, method, x, labels, seed=seed).network)
        for t in steps:
            before, plain, noisy = (_right(_at(one, t), shown, names) for one in networks)
            only = (plain & ~noisy, noisy & ~plain)
            counts = [int(right.sum()) for right in (before, plain, noisy, *only)]
            yield Row(t, seed, len(names), *counts)


def _at(snn: SpikingNetwork, steps: int) -> SpikingNetwork:
    """A network with the weights and thresholds of its design point at another T."""
    design = {steps: snn.design()}
    return SpikingNetwork(snn.graph, snn.neurons, steps, design, snn.calibration)


def _drawn(data: str, split: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images of a split, prepared as the network was trained on them, and their labels."""
    (known,) = (entry.card.data for entry in zoo_entries() if entry.name == SOURCE)
    opened: Any = getattr(open_dataset(data, mean=known.mean, std=known.std), split)
    numbers = random.Random(seed).sample(range(len(opened)), count)
    ((images, labels),) = DataLoader(Subset(opened, numbers), batch_size=count)
    return images, labels


def _right(snn: SpikingNetwork, images: Tensor, labels: Tensor) -> Tensor:
    answers = torch.cat([snn(part).argmax(1) for part in images.split(100)])
    return answers == labels


def write(rows: Sequence[Row], config: Mapping[str, Any]) -> None:
    """Write the record."""
    versions = {"spikewright": __version__, "torch": str(torch.__version__)}
    found = {"config": {"source": SOURCE, **config}, "versions": versions}
    text = json.dumps({**found, "rows": [asdict(row) for row in rows]}, indent=1)
    RECORD.write_text(text + "\n", encoding="utf-8")


def read() -> tuple[Row, ...]:
    """The rows of the record."""
    return tuple(Row(**row) for row in json.loads(RECORD.read_text(encoding="utf-8"))["rows"])


def table(rows: Sequence[Row]) -> str:
    """The rows as a table of the page."""
    head = ("T", "seed", "converted", "without noise", "NQ", "p (McNemar)")
    return markdown.table(head, [row.cells for row in rows])
