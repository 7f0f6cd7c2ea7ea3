"""The table of docs/choosing.md: what codes come to on a network that somebody else trained."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from docs_tools import records
from docs_tools.energies import over_int8
from paper import markdown
from spikewright.cli.parse import neuron_of
from spikewright.measure import HOROWITZ_45NM
from spikewright.measure.likeness import Likeness

RECORDS = Path("docs/results")

COMPARED = (
    ("if", 16),
    ("tracer", 16),
    ("tpp", 16),
    ("nearest", 16),
    ("nearest:first-spike", 16),
    ("nearest:binary", 4),
    ("nearest:binary", 8),
    ("nearest:digits", 2),
    ("nearest:digits", 3),
)
"""Neurons as the command line spells them, and T."""

PRICES = replace(HOROWITZ_45NM, function_pj=dict.fromkeys(("gelu", "layer_norm", "softmax"), 20.0))
"""The energy model: functions without a published price at 20 pJ a value, for ANN and SNN alike."""

HEAD = (
    "neuron",
    "T",
    "steps until the answer",
    "bits a step",
    "spikes a neuron",
    "energy / ANN, float32",
    "energy / int8 ANN",
    "relative error",
    "same answer",
)


@dataclass(frozen=True)
class Row:
    """One neuron on one network.

    Attributes:
        neuron: as the command line spells it.
        steps: T.
        latency: time steps until the answer; of spike tracers until the last sample has settled.
        bits: that leave a neuron at a step, at most.
        spikes: of one neuron and sample, the mean.
        energy: arithmetic of the spiking network over that of the ANN, in single precision.
        energy_integer: the same in integers: weights of 8 bits, and the ANN's activations too.
        error: norm of what the answers differ by from the ANN's, over the norm of the ANN's.
        same: fraction of samples with the ANN's answer.
    """

    neuron: str
    steps: int
    latency: int
    bits: int
    spikes: float
    energy: float
    energy_integer: float
    error: float
    same: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them, in the order of `HEAD`."""
        counts = (str(self.steps), str(self.latency), str(self.bits))
        energies = (f"{self.energy:.2f}", f"{self.energy_integer:.2f}")
        told = (f"{self.spikes:.2f}", *energies, f"{self.error:.3f}", f"{100 * self.same:.1f} %")
        return (f"`{self.neuron}`", *counts, *told)


@dataclass(frozen=True)
class Subject:
    """A network and its samples, from a Python file that defines what `of` asks for.

    Attributes:
        name: of the record.
        title: what the network and the samples are, in a line.
        model: the network, in eval mode.
        inputs: `n` samples from the `start`-th on, `[n, *S]`.
        answers: what counts as the answer in outputs `[n, *O]`, `[n]`; the largest logit where the
            file does not say.
    """

    name: str
    title: str
    model: torch.nn.Module
    inputs: Callable[[int, int], Tensor]
    answers: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, file: Path) -> Subject:
        """What a file defines: `NAME`, `TITLE`, `model()`, `inputs(n, start)` and `answers`."""
        given = runpy.run_path(str(file))
        answers = given.get("answers", _largest)
        return cls(given["NAME"], given["TITLE"], given["model"](), given["inputs"], answers)


def _largest(logits: Tensor) -> Tensor:
    return logits.argmax(1)


def measured(
    subject: Subject,
    samples: int,
    calibration: int,
    batch: int,
    compared: Sequence[tuple[str, int]] = COMPARED,
) -> Iterator[Row]:
    """The rows of a network, one neuron after the other; neurons that it refuses are left out.

    The first `samples` are measured and the `calibration` after them calibrated on. Energies are
    those of the first batch.
    """
    prepared = sw.prepare(subject.model, list(subject.inputs(calibration, samples).split(batch)))
    batches = list(subject.inputs(samples, 0).split(batch))
    with torch.no_grad():
        expected = torch.cat([subject.model(shown) for shown in batches])
    for name, steps in compared:
        try:
            snn = prepared.convert(neuron_of(name), steps=steps)
        except sw.ConversionError:
            continue
        answered = torch.cat([snn(shown) for shown in batches])
        used = sw.operations(snn, batches[:1], model=PRICES)
        energy, like = used.energy, Likeness.of(answered.flatten(1), expected.flatten(1))
        yield Row(
            name,
            steps,
            used.latency,
            used.bits,
            used.total.spikes / sum(row.neurons for row in used.rows),
            energy.snn_nj / energy.ann_nj,
            over_int8(used),
            (like.gap / like.size) ** 0.5,
            float((subject.answers(answered) == subject.answers(expected)).double().mean()),
        )


@dataclass(frozen=True)
class Record:
    """What was measured of a network, how, and by which versions."""

    title: str
    config: dict[str, Any]
    versions: dict[str, str]
    rows: tuple[Row, ...]


def write(subject: Subject, rows: Sequence[Row], config: Mapping[str, Any]) -> Path:
    """Write the record of a network; returns its file."""
    record = Record(subject.title, dict(config), records.versions(), tuple(rows))
    return records.write(RECORDS / f"codes-{subject.name}.json", record)


def read(name: str) -> tuple[str, tuple[Row, ...]]:
    """The title and the rows of a network's record."""
    found = records.read(RECORDS / f"codes-{name}.json", Record)
    return found.title, found.rows


def table(rows: Sequence[Row]) -> str:
    """The rows as a table of the page."""
    return markdown.table(HEAD, [row.cells for row in rows])
