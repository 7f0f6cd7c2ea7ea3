"""The figures of docs/intrinsic.md: eigenvalues, firing, and networks trained with either."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from docs_tools import records
from docs_tools.intrinsic_training import Run, runs
from spikewright.intrinsic import (
    EscapeNoise,
    SelfConnectedLayer,
    SelfConnection,
    integration_matrix,
    mean_matrix,
    mode_time_constants,
)

RECORD = Path("docs/results/intrinsic.json")
DOUBLE = torch.float64


@dataclass(frozen=True)
class Modes:
    """The eigenvalues of one layer beside those of its simulation.

    Attributes:
        case: which layer.
        calculated: absolute values of the eigenvalues, largest first.
        simulated: the same of the matrix that fits simulated potentials best.
        difference: the largest difference of any eigenvalue, as complex numbers.
    """

    case: str
    calculated: tuple[float, ...]
    simulated: tuple[float, ...]
    difference: float


@dataclass(frozen=True)
class Topology:
    """One neuron after a pulse.

    Attributes:
        weight: v, of its self-connection.
        eigenvalue: of its integration.
        time_constant: that it stands for, in steps; None if it is infinite.
        simulated: the time in which a simulated potential falls to 1/e, or below 0 that in which it
            rises to e times itself, where no spike comes between; None if neither in 500 steps.
        spikes: in the 500 steps after the pulse, without any input.
    """

    weight: float
    eigenvalue: float
    time_constant: float | None
    simulated: float | None
    spikes: int


@dataclass(frozen=True)
class Firing:
    """The rate of one neuron under a constant current.

    Attributes:
        threshold: theta.
        width: of the escape noise; 0 is a threshold.
        silent: spikes a step without a current.
        driven: the same under the current DRIVE.
    """

    threshold: float
    width: float
    silent: float
    driven: float


@dataclass(frozen=True)
class Record:
    """All of it."""

    versions: dict[str, str]
    modes: tuple[Modes, ...]
    topology: tuple[Topology, ...]
    firing: tuple[Firing, ...]
    runs: tuple[Run, ...] = ()


def layer(
    taus: Sequence[float],
    connection: SelfConnection | None = None,
    weights: Tensor | None = None,
    *,
    threshold: float = 1.0,
    noise: EscapeNoise | None = None,
) -> SelfConnectedLayer:
    """Neurons with an input each, float64."""
    count = len(taus)
    made = SelfConnectedLayer(count, count, connection, noise, threshold=threshold).to(DOUBLE)
    with torch.no_grad():
        made.inward.weight.copy_(torch.eye(count))
        made.log_tau.copy_(torch.tensor(taus, dtype=DOUBLE).log())
        if made.self_weights is not None and weights is not None:
            made.self_weights.copy_(weights)
    return made.requires_grad_(False)


NEVER = 1e9
"""A threshold that nothing reaches."""
TAUS = (5.0, 10.0, 20.0, 40.0)


def eigenvalues(*, runs: int = 20_000) -> Iterator[Modes]:
    """Four layers: their matrices beside those that their simulation shows."""
    draw = torch.Generator().manual_seed(0)
    drawn = torch.randn(4, 4, generator=draw, dtype=DOUBLE)
    full = drawn - drawn.T  # turns: eigenvalues come in complex pairs
    diagonal = torch.tensor([-1.0, 0.5, 0.9, 0.0], dtype=DOUBLE)
    potentials = SelfConnection("full")
    cases = {
        "none": layer(TAUS, threshold=NEVER),
        "diagonal, potentials": layer(TAUS, SelfConnection(), diagonal, threshold=NEVER),
        "full, potentials": layer(TAUS, potentials, full, threshold=NEVER),
    }
    for case, made in cases.items():
        x = torch.zeros(12, 4, 4, dtype=DOUBLE)
        x[0] = torch.eye(4)  # a pulse to one neuron in each run
        yield modes(case, integration_matrix(made), [made.observe(x).potentials])
    weights = torch.tensor([[3.0, -6.0], [8.0, -2.0]], dtype=DOUBLE)
    noise, spikes = EscapeNoise(20.0), SelfConnection("full", "spikes")
    made = layer((5.0, 8.0), spikes, weights, noise=noise)
    yield modes(
        "full, spikes by escape noise",
        mean_matrix(made, torch.zeros(2, dtype=DOUBLE)),
        list(_mean_responses(made, runs)),
    )


def _mean_responses(made: SelfConnectedLayer, runs: int) -> Iterator[Tensor]:
    """The means over runs of what a pulse to each neuron does, `[T, 1, H]`, by the same draws."""
    ids, still = torch.arange(runs), torch.zeros(8, runs, made.units, dtype=DOUBLE)
    rest = made.observe(still, sample_ids=ids).potentials
    for neuron in range(made.units):
        x = still.clone()
        x[0, :, neuron] = 40.0
        yield (made.observe(x, sample_ids=ids).potentials - rest).mean(1, keepdim=True)


def modes(case: str, matrix: Tensor, responses: Sequence[Tensor]) -> Modes:
    """A matrix beside the one that fits responses `[T, B, H]` best, step to step."""
    before, after = (
        np.concatenate([r[part].flatten(0, 1).numpy() for r in responses])
        for part in (slice(None, -1), slice(1, None))
    )
    fitted = np.linalg.lstsq(before, after, rcond=None)[0].T
    calculated, simulated = (
        sorted(np.linalg.eigvals(m), key=lambda v: (-round(abs(v), 6), v.imag))
        for m in (matrix.numpy(), fitted)
    )
    apart = max(abs(a - b) for a, b in zip(calculated, simulated, strict=True))
    return Modes(
        case,
        tuple(round(float(abs(v)), 4) for v in calculated),
        tuple(round(float(abs(v)), 4) for v in simulated),
        float(f"{apart:.1e}"),
    )


WEIGHTS = (-15.0, -1.0, 0.0, 0.5, 0.9, 1.0, 1.1)


def topologies(weights: Sequence[float] = WEIGHTS, *, steps: int = 500) -> Iterator[Topology]:
    """A neuron of tau = 10 steps and threshold 1, lifted to 0.9 by a pulse and then left alone."""
    for weight in weights:
        value = torch.tensor([weight], dtype=DOUBLE)
        silent, made = (
            layer((10.0,), SelfConnection(), value, threshold=threshold)
            for threshold in (NEVER, 1.0)
        )
        matrix = integration_matrix(made)
        x = torch.zeros(steps + 1, 1, 1, dtype=DOUBLE)
        x[0] = 0.9 / (1 - made.decay)
        yield Topology(
            weight,
            round(float(matrix), 4),
            rounded(float(mode_time_constants(matrix))),
            time_to_change(silent.observe(x).potentials[:, 0, 0]),
            int(made(x).sum()),
        )


def rounded(steps: float) -> float | None:
    """A time of the record, where no number is infinite."""
    return round(steps, 3) if math.isfinite(steps) else None


def time_to_change(u: Tensor) -> float | None:
    """When potentials `[T]` have fallen to 1/e; below 0: when they have risen to e times the first.

    Between two steps their logarithm is taken to be straight. None if they do neither.
    """
    logs = (u.abs() / u[0].abs()).log()
    beyond = torch.nonzero(logs.abs() >= 1)
    if not len(beyond):
        return None
    t = int(beyond[0])
    share = (1 - abs(float(logs[t - 1]))) / abs(float(logs[t] - logs[t - 1]))
    return round(math.copysign(t - 1 + share, -float(logs[t])), 3)


DRIVE = 4.0
THRESHOLDS, WIDTHS = (0.1, 0.2, 0.5, 1.0), (0.0, 0.1, 0.5)


def firings(*, steps: int = 500, trials: int = 40) -> Iterator[Firing]:
    """Rates of a neuron of tau = 10 steps over thresholds and widths; nothing is read at first."""
    for threshold in THRESHOLDS:
        for width in WIDTHS:
            made = layer((10.0,), threshold=threshold, noise=EscapeNoise(width) if width else None)
            x = torch.zeros(steps + 100, 2 * trials, 1, dtype=DOUBLE)
            x[:, trials:] = DRIVE
            ids = torch.arange(2 * trials) if width else None
            rates = made(x, sample_ids=ids)[100:].mean(0).view(2, trials).mean(1)
            yield Firing(threshold, width, *(round(rate, 4) for rate in rates.tolist()))


def measured(record: Record | None = None) -> Iterator[Record]:
    """The record after each training that it does not have yet."""
    if record is None:
        found = tuple(eigenvalues()), tuple(topologies()), tuple(firings())
        record = Record(records.versions(), *found)
    yield record
    for run in runs(done=record.runs):
        record = replace(record, runs=(*record.runs, run))
        yield record


def write(record: Record, path: Path = RECORD) -> Path:
    """Write the record; returns its file."""
    return records.write(path, record)


def read(path: Path = RECORD) -> Record | None:
    """The record as it was written; none where there is no file."""
    if not path.is_file():
        return None
    return records.read(path, Record)
