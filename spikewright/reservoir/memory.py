"""Memory capacity: how much of its past input a linear read-out finds in a reservoir's state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import AnalysisError

RIDGES = tuple(10.0**power for power in range(-10, 2))
"""Penalties that are tried, in units of the mean variance of a state."""


@dataclass(frozen=True)
class MemoryCapacity:
    """How well each delay is remembered.

    Attributes:
        delays: r^2 at the delays 1, 2, ..., on the runs held out.
        ridge: the penalty that validation chose, in units of the mean variance of a state.
    """

    delays: tuple[float, ...]
    ridge: float

    @property
    def total(self) -> float:
        """Their sum, at most the number of states. Chance adds 1 / samples for each delay."""
        return sum(self.delays)


def memory_capacity(
    states: Tensor, x: Tensor, *, delays: int = 60, washout: int = 100
) -> MemoryCapacity:
    """Jaeger's memory capacity, held out.

        MC = sum over d = 1, 2, ... of r^2(x[t - d], w_d . state[t])

    For every delay d a linear read-out is fitted by ridge regression to one half of the runs; a
    quarter chooses the penalty, one for all delays; r is Pearson's on the last quarter.

    Args:
        states: `[T, B, H]`, floating.
        x: the input `[T, B]` that they come from, drawn independently at every step.
        delays: how many, at least 1.
        washout: how many first steps are left out, at least `delays`.

    Returns:
        r^2 of every delay, and the penalty.

    Raises:
        AnalysisError: for shapes that do not fit, fewer than four runs, or too few steps.

    Source: Jaeger, "Short term memory in echo state networks", GMD report 152, 2001.

    Example:
        >>> x = torch.rand(300, 8, dtype=torch.float64)
        >>> register = torch.stack([x.roll(d, 0) for d in range(1, 4)], 2)  # of three places
        >>> round(memory_capacity(register, x, delays=5, washout=10).total, 1)
        3.0
    """
    _check(states, x, delays, washout)
    steps, runs = x.shape
    past = [x[washout - d : steps - d] for d in range(1, delays + 1)]
    parts = torch.stack(past, 2).double(), states[washout:].double()
    cuts = runs // 2, runs * 3 // 4
    (y, yv, yt), (f, fv, ft) = (
        [piece.flatten(0, 1) for piece in part.tensor_split(cuts, 1)] for part in parts
    )
    centre = f.mean(0)
    f, fv, ft = f - centre, fv - centre, ft - centre
    variances, axes = torch.linalg.eigh(f.T @ f / len(f))
    fitted = axes.T @ (f.T @ (y - y.mean(0)) / len(f))
    scale = variances.mean()
    if not scale > 0:
        raise AnalysisError("the states never change, so they remember nothing")

    def found(ridge: float, f: Tensor, y: Tensor) -> Tensor:
        read_out = axes @ (fitted / (variances.clamp(min=0) + ridge * scale)[:, None])
        return _squared_correlation(f @ read_out, y)

    best = max(RIDGES, key=lambda ridge: float(found(ridge, fv, yv).sum()))
    return MemoryCapacity(tuple(found(best, ft, yt).tolist()), best)


def _squared_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r^2 of every column; 0 where one does not vary."""
    a, b = a - a.mean(0), b - b.mean(0)
    power = a.square().sum(0) * b.square().sum(0)
    return torch.where(power > 0, (a * b).sum(0).square() / power, 0.0)


def _check(states: Tensor, x: Tensor, delays: int, washout: int) -> None:
    if states.ndim != 3 or x.shape != states.shape[:2]:
        raise AnalysisError(
            f"states [T, B, H] go with an input [T, B], got {tuple(states.shape)} and "
            f"{tuple(x.shape)}"
        )
    if delays < 1 or washout < delays:
        raise AnalysisError(
            f"delays must be at least 1 and washout at least as many, got {delays} and {washout}"
        )
    if x.shape[1] < 4 or x.shape[0] < washout + 2:
        raise AnalysisError(
            "memory capacity needs at least 4 runs (fitted, validated and held out) and 2 steps "
            f"after the washout of {washout}, got x of shape {tuple(x.shape)}"
        )
