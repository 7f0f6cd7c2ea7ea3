"""The figures of docs/mechanistic.md: time, memory and error of equations on a grid."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.memory import peak_of
from docs_tools import records
from paper import markdown
from spikewright.mechanistic import (
    Blocks,
    Discovered,
    ODESolver,
    discover,
    gradients,
    membrane,
    simulated_membrane,
    solver,
)

RECORD = Path("docs/results/mechanistic.json")
POINTS = (1_000, 3_000, 10_000, 30_000, 100_000)
DENSE_POINTS = (100, 300, 1_000)
ROUNDS = 3
DOUBLE = torch.float64


@dataclass(frozen=True)
class Cost:
    """One problem on one grid.

    Attributes:
        problem: its name, a key of `PROBLEMS`.
        points: N.
        forward_seconds: of one core for a solution, the median of three.
        backward_seconds: of the gradients of all coefficients, the same.
        peak_mib: the most memory that both take above what was held before.
    """

    problem: str
    points: int
    forward_seconds: float
    backward_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Dense:
    """The oscillator as one dense matrix.

    Attributes:
        points: N.
        seconds: of one core for `torch.linalg.lstsq` on that matrix.
        peak_mib: the most memory that it takes, the matrix included.
        difference: the largest difference of any unknown from the solution in blocks.
    """

    points: int
    seconds: float
    peak_mib: float
    difference: float


@dataclass(frozen=True)
class Membrane:
    """Equation and simulation of three leaky neurons over 1,000 steps.

    Attributes:
        order: O of the Taylor series.
        differences: the largest difference of the potentials in thresholds, for each time constant.
    """

    order: int
    differences: tuple[float, ...]


@dataclass(frozen=True)
class Lorenz:
    """The Lorenz system found in 2,000 samples.

    Attributes:
        noise: its standard deviation, in units of the variables.
        cut: the smallest coefficient that stays.
        equations: as found.
        error: the largest error of a coefficient.
    """

    noise: float
    cut: float
    equations: str
    error: float


@dataclass(frozen=True)
class Record:
    """Everything that was measured, and on which versions."""

    costs: tuple[Cost, ...]
    dense: tuple[Dense, ...]
    membrane: tuple[Membrane, ...]
    lorenz: tuple[Lorenz, ...]
    versions: dict[str, str]


def oscillator(points: int, damping: float = 0.02, step: float = 0.05) -> tuple[Any, ...]:
    """The equation u'' + c u' + u = 0 and its derivative, from u = 1 at rest, O = 3."""
    rows = torch.tensor([[1, damping, 1, 0], [0, 1, damping, 1]], dtype=DOUBLE)
    rest = torch.tensor([[[1.0, 0.0]]], dtype=DOUBLE)
    return rows.view(1, 1, 2, 1, 4), torch.zeros(1, points, 2, dtype=DOUBLE), rest, step


def three_functions(points: int) -> tuple[Any, ...]:
    """The equations u' = A(t) u + b(t) of three functions, O = 2: 9 unknowns a point."""
    draw = torch.Generator().manual_seed(0)
    coefficients = torch.zeros(1, points, 3, 3, 3, dtype=DOUBLE)
    coefficients[..., 1] = torch.eye(3, dtype=DOUBLE)
    coefficients[..., 0] = torch.rand(1, points, 3, 3, generator=draw, dtype=DOUBLE)
    coefficients[..., 0] += 2 * torch.eye(3, dtype=DOUBLE)
    constants = torch.rand(1, points, 3, generator=draw, dtype=DOUBLE)
    return coefficients, constants, torch.ones(1, 3, 1, dtype=DOUBLE), 0.01


PROBLEMS: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "damped oscillator": oscillator,
    "three functions": three_functions,
}


def costs(points: Sequence[int] = POINTS, rounds: int = ROUNDS) -> Iterator[Cost]:
    """Time and memory of every problem on every grid."""
    for name, problem in PROBLEMS.items():
        for n in points:
            arguments = problem(n)
            arguments[0].requires_grad_()
            seen = [_timed(arguments) for _ in range(rounds)]
            forward, backward = (statistics.median(part) for part in zip(*seen, strict=True))
            peak = peak_of(lambda given=arguments: _timed(given), torch.device("cpu"))
            yield Cost(name, n, forward, backward, (peak or 0) / 2**20)


def _timed(arguments: tuple[Any, ...]) -> tuple[float, float]:
    """Seconds of processor time forward and backward."""
    start = time.process_time()
    u = ODESolver()(*arguments)
    between = time.process_time()
    u.square().sum().backward()
    return between - start, time.process_time() - between


def dense(points: Sequence[int] = DENSE_POINTS) -> Iterator[Dense]:
    """The oscillator's problem by dense least squares, and how far the two are apart."""
    for n in points:
        blocks = blocks_of(oscillator(n))
        answers: list[Tensor] = []
        start = time.process_time()

        def solve(given: Blocks = blocks, into: list[Tensor] = answers) -> None:
            matrix, rhs = given.dense()
            into.append(torch.linalg.lstsq(matrix[0], rhs[0].unsqueeze(1)).solution)

        peak = peak_of(solve, torch.device("cpu"))
        seconds = time.process_time() - start
        found = gradients.least_squares(blocks).flatten()
        difference = float((found - answers[0].flatten()).abs().max())
        yield Dense(n, seconds, (peak or 0) / 2**20, difference)


def blocks_of(arguments: tuple[Any, ...]) -> Blocks:
    """The rows that `ODESolver` makes of its arguments."""
    made: list[Blocks] = []
    kept = solver.least_squares

    def remembered(blocks: Blocks) -> Tensor:
        made.append(blocks)
        return kept(blocks)

    solver.least_squares = remembered
    try:
        ODESolver()(*arguments)
    finally:
        solver.least_squares = kept
    return made[0]


def membranes(orders: Sequence[int] = (1, 2, 3, 4, 5), steps: int = 1000) -> Iterator[Membrane]:
    """Leaky neurons of time constants of 5, 10 and 20 steps under currents drawn at every step."""
    draw = torch.Generator().manual_seed(0)
    current = 4 * torch.rand(3, steps, generator=draw, dtype=DOUBLE)
    tau = torch.tensor([5.0, 10.0, 20.0], dtype=DOUBLE)
    v, spikes = simulated_membrane(current, tau)
    for order in orders:
        apart = (membrane(current, tau, spikes, order=order) - v).abs().amax(1)
        yield Membrane(order, tuple(apart.tolist()))


LORENZ = ({"x": -10.0, "y": 10.0}, {"x": 28.0, "y": -1.0, "x z": -1.0}, {"z": -8 / 3, "x y": 1.0})
"""The coefficients of x', y' and z'."""


def lorenz_samples(points: int, step: float) -> Tensor:
    """The Lorenz system from a point on its attractor, by Runge and Kutta's method, `[N, 3]`."""

    def slope(s: Tensor) -> Tensor:
        x, y, z = s.unbind()
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    states = [torch.tensor([-8.0, 7.0, 27.0], dtype=DOUBLE)]
    for _ in range(points - 1):
        s = states[-1]
        a = slope(s)
        b = slope(s + step / 2 * a)
        c = slope(s + step / 2 * b)
        states.append(s + step / 6 * (a + 2 * b + 2 * c + slope(s + step * c)))
    return torch.stack(states)


def coefficient_error(found: Discovered) -> float:
    """The largest error of a coefficient of the Lorenz system."""
    wanted = torch.zeros_like(found.coefficients)
    for column, equation in enumerate(LORENZ):
        for term, value in equation.items():
            wanted[found.terms.index(term), column] = value
    return float((found.coefficients - wanted).abs().max())


def lorenz(points: int = 2000) -> Iterator[Lorenz]:
    """The Lorenz system found without noise and with two strengths of it."""
    clean = lorenz_samples(points, 0.01)
    draw = torch.Generator().manual_seed(0)
    for noise, cut in ((0.0, 0.1), (0.05, 0.5), (0.2, 0.5)):
        samples = clean + noise * torch.randn(clean.shape, generator=draw, dtype=DOUBLE)
        found = discover(samples, 0.01, cut=cut)
        yield Lorenz(noise, cut, str(found), coefficient_error(found))


def measured() -> Record:
    """Measure everything, on one core: some minutes."""
    torch.set_num_threads(1)
    versions = records.versions()
    return Record(tuple(costs()), tuple(dense()), tuple(membranes()), tuple(lorenz()), versions)


def exponent(points: Sequence[int], values: Sequence[float]) -> float:
    """The slope of log values over log points, by least squares: 1 is linear."""
    return statistics.linear_regression(
        [math.log(n) for n in points], [math.log(value) for value in values]
    ).slope


def write(record: Record, path: Path = RECORD) -> Path:
    """Write the record; returns its file."""
    return records.write(path, record)


def read(path: Path = RECORD) -> Record:
    """The record as it was written."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Record(
        tuple(Cost(**row) for row in found["costs"]),
        tuple(Dense(**row) for row in found["dense"]),
        tuple(Membrane(row["order"], tuple(row["differences"])) for row in found["membrane"]),
        tuple(Lorenz(**row) for row in found["lorenz"]),
        found["versions"],
    )


def tables(record: Record) -> tuple[str, str, str]:
    """The tables of the page: costs, the dense problem, membranes."""
    head = ("problem", "N", "forward", "backward", "peak memory")
    rows: list[Sequence[str]] = []
    for name in PROBLEMS:
        own = [cost for cost in record.costs if cost.problem == name]
        rows += [
            (
                name,
                f"{cost.points:,}",
                f"{cost.forward_seconds:.3f} s",
                f"{cost.backward_seconds:.3f} s",
                f"{cost.peak_mib:.0f} MiB",
            )
            for cost in own
        ]
        ns = [cost.points for cost in own]
        fitted = (
            exponent(ns, [cost.forward_seconds for cost in own]),
            exponent(ns, [cost.backward_seconds for cost in own]),
            exponent(ns, [cost.peak_mib for cost in own]),
        )
        rows.append((name, "exponent", *(f"{value:.2f}" for value in fitted)))
    dense_rows = [
        (f"{d.points:,}", f"{d.seconds:.3f} s", f"{d.peak_mib:.0f} MiB", f"{d.difference:.1e}")
        for d in record.dense
    ]
    membrane_rows = [
        (str(m.order), *(f"{value:.1e}" for value in m.differences)) for m in record.membrane
    ]
    return (
        markdown.table(head, rows),
        markdown.table(("N", "dense", "its memory", "largest difference"), dense_rows),
        markdown.table(("O", "τ = 5 steps", "τ = 10", "τ = 20"), membrane_rows),
    )


def lorenz_table(record: Record) -> str:
    """The equations found, for every noise."""
    rows = [
        (f"{row.noise:g}", f"{row.cut:g}", f"`{'`, `'.join(row.equations.splitlines())}`")
        for row in record.lorenz
    ]
    return markdown.table(("noise, standard deviation", "cut", "equations"), rows)
