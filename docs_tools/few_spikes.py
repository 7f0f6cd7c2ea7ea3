"""The tables of docs/methods/few-spikes.md: functions, a transformer block, harmonic retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from docs_tools import harmonic, records
from paper import markdown
from spikewright.measure import HOROWITZ_45NM
from spikewright.neurons import fitted_table

RECORD = Path("docs/results/few-spikes.json")

FUNCTIONS = {"silu": F.silu, "gelu": F.gelu, "sigmoid": torch.sigmoid}
LOW, HIGH = -8.0, 8.0
PUBLISHED = {"silu": (16, 2.58e-3), "sigmoid": (12, 1.64e-4)}
"""K and mean squared error over the range of the authors' tables (fs_weights.py of
github.com/christophstoeckl/FS-neurons), run by the paper's equations."""

PRICES = replace(HOROWITZ_45NM, function_pj={"reciprocal": 20.0})
"""The energy model; functions without a published price at 20 pJ a value, for the ANN alone."""


@dataclass(frozen=True)
class Function:
    """A table against its function, evenly over the range.

    Attributes:
        name: of the function.
        steps: K.
        squared: the mean squared error.
        largest: the largest error.
    """

    HEAD: ClassVar = ("function", "K", "mean squared error", "largest error", "the authors' table")

    name: str
    steps: int
    squared: float
    largest: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them."""
        steps, squared = PUBLISHED.get(self.name, (0, 0.0))
        theirs = f"{squared:.1e}" if steps == self.steps else ""
        return self.name, f"{self.steps}", f"{self.squared:.1e}", f"{self.largest:.3f}", theirs


@dataclass(frozen=True)
class Block:
    """A transformer block whose GELU and relays are few-spikes neurons.

    Attributes:
        steps: K.
        error: norm of what the answers differ by from the ANN's, over the norm of the ANN's.
        engines: the largest difference between the answers of the two engines.
    """

    HEAD: ClassVar = ("K", "relative error", "largest difference of the engines")

    steps: int
    error: float
    engines: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them."""
        return f"{self.steps}", f"{self.error:.4f}", f"{self.engines:.0e}"


@dataclass(frozen=True)
class Retrieval:
    """Harmonic retrieval by few-spikes neurons.

    Attributes:
        steps: K.
        error: squared, relative to the square of the spectrum.
        ann: that of the ANN.
        spikes: of one neuron and sample, the mean.
        energy: arithmetic of the spiking network over that of the ANN, in single precision.
        latency: time steps until the answer.
    """

    HEAD: ClassVar = ("K", "error", "over the ANN's", "spikes a neuron", "energy / ANN", "steps")

    steps: int
    error: float
    ann: float
    spikes: float
    energy: float
    latency: int

    @property
    def cells(self) -> tuple[str, ...]:
        """As the page has them."""
        errors = (f"{self.error:.4f}", f"{100 * (self.error / self.ann - 1):+.1f} %")
        return (
            f"{self.steps}",
            *errors,
            f"{self.spikes:.2f}",
            f"{self.energy:.2f}",
            f"{self.latency}",
        )


def functions(steps: Sequence[int], rounds: int) -> Iterator[Function]:
    """Tables fitted evenly over the range."""
    x = torch.linspace(LOW, HIGH, 4001, dtype=torch.float64)
    for name, function in FUNCTIONS.items():
        for k in steps:
            away = fitted_table(function, x, k, rounds)(x) - function(x)
            yield Function(name, k, float(away.square().mean()), float(away.abs().max()))


def blocks(steps: Sequence[int], rounds: int) -> Iterator[Block]:
    """A block of random weights on random samples; of its group units two-phase neurons, 8 bits."""
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(32, 4, 64, 0.0, F.gelu, batch_first=True, norm_first=True)
    model, x = model.double().eval(), torch.randn(96, 10, 32, dtype=torch.float64)
    prepared, shown = sw.prepare(model, x[32:]), x[:32]
    groups = {
        op.site.name: sw.TwoPhase("nearest", "binary", steps=8)
        for op in prepared.graph.neurons
        if op.site is not None and op.site.group > 1
    }
    with torch.no_grad():
        wanted = model(shown)
    for k in steps:
        neurons = {"*": sw.FewSpikes(rounds=rounds), **groups}
        snn = prepared.convert(neurons, steps=k, correction=None)
        counts, trains = (snn(shown, engine=engine) for engine in ("counts", "steps"))
        engines = float((counts - trains).abs().max())
        yield Block(k, float((counts - wanted).norm() / wanted.norm()), engines)


def retrievals(
    model: nn.Module, steps: Sequence[int], samples: int, rounds: int
) -> Iterator[Retrieval]:
    """Harmonic retrieval on samples of seed 1; those of seed 2 are calibrated on."""
    shown, spectra = harmonic.drawn(samples, 1)
    prepared = sw.prepare(model, harmonic.drawn(256, 2)[0])
    ann = harmonic.error(model(shown), spectra)
    for k in steps:
        snn = prepared.convert(sw.FewSpikes(rounds=rounds), steps=k, correction=None)
        answered = torch.cat([snn(part) for part in shown.split(64)])
        used = sw.operations(snn, [_few(shown)], model=PRICES)
        yield Retrieval(
            k,
            harmonic.error(answered, spectra),
            ann,
            used.total.spikes / sum(row.neurons for row in used.rows),
            used.energy.snn_nj / used.energy.ann_nj,
            used.latency,
        )


def _few(samples: Tensor) -> Tensor:
    return samples[:64]


@dataclass(frozen=True)
class Record:
    """The rows of the page's three tables, how they were measured, and by which versions."""

    config: dict[str, Any]
    versions: dict[str, str]
    functions: tuple[Function, ...]
    blocks: tuple[Block, ...]
    retrievals: tuple[Retrieval, ...]


def write(rounds: int = 400, batches: int = 600, samples: int = 1000) -> None:
    """Measure everything, and write the record."""
    model = harmonic.trained(batches)
    record = Record(
        {"rounds": rounds, "batches": batches, "samples": samples, "range": [LOW, HIGH]},
        records.versions(),
        tuple(functions((8, 12, 16), rounds)),
        tuple(blocks((4, 8, 16), rounds)),
        tuple(retrievals(model, (2, 3, 4, 6, 8, 12, 16), samples, rounds)),
    )
    records.write(RECORD, record)


def tables() -> tuple[str, ...]:
    """The tables of the page, from the record: functions, blocks, retrievals."""
    found = records.read(RECORD, Record)
    return (
        markdown.table(Function.HEAD, [row.cells for row in found.functions]),
        markdown.table(Block.HEAD, [row.cells for row in found.blocks]),
        markdown.table(Retrieval.HEAD, [row.cells for row in found.retrievals]),
    )
