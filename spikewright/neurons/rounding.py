"""Roundings: how a two-phase neuron turns its total charge into an integer count."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

from spikewright.neurons import count_law
from spikewright.neurons.counter_random import Draws, StepDraws

ROUNDING_DRAW = -1
"""The step number of the draw that rounds, apart from those that order spikes (0, 1, ...)."""


class Rounding(StrEnum):
    """How a charge x, as a real number of counts, becomes a count n in 0..L."""

    BERNOULLI = "bernoulli"
    """The paper's TPP: k or k + 1 by the law of `count_law`; biased upward near 0."""
    UNBIASED = "unbiased"
    """`clip(floor(x + U), 0, L)`, U uniform: mean exactly x inside the range."""
    NEAREST = "nearest"
    """`clip(floor(x + 1/2), 0, L)`: deterministic, and QCFS with L levels exactly."""

    def round(
        self,
        charge: Tensor,
        levels: int | Tensor,
        draws: Draws | StepDraws,
        law: Tensor | None = None,
    ) -> Tensor:
        """The count law.

        Args:
            charge: `[B, *S]`.
            levels: L; a scalar tensor in code that is compiled once for every T.
            draws: the layer's random numbers, or those of step `ROUNDING_DRAW` alone; not used by
                `NEAREST`.
            law: `count_law.draw_table(L)` for `BERNOULLI`, needed when `levels` is a tensor.

        Returns:
            Counts 0..levels, floating, `[B, *S]`.
        """
        if self is Rounding.NEAREST:
            return _clipped((charge + 0.5).floor_(), levels)
        if self is Rounding.UNBIASED:
            charge = _clipped(charge, levels)  # of infinity there is no fraction
            draw = _rounding_draws(draws, charge).uniform().to(charge.dtype)
            whole = charge.floor()  # apart from the fraction: their sum may round up to whole + 1
            return _clipped(whole + (charge - whole + draw).floor(), levels)
        if law is None:
            law = count_law.draw_table(int(levels), charge.device)
        draw, dither = _rounding_draws(draws, charge).draw_and_dither()
        return count_law.drawn(law, _clipped(charge, levels), draw, dither)

    def expected_count(self, charge: Tensor, levels: int) -> tuple[Tensor, Tensor]:
        """Mean and variance of the count of a charge, each of its shape."""
        if self is Rounding.NEAREST:
            return (charge + 0.5).floor().clamp(0, levels), torch.zeros_like(charge)
        within = charge.clamp(0, levels)
        whole = within.floor().clamp(max=levels - 1)  # L itself is L - 1 and 1
        upper = fraction = within - whole
        if self is Rounding.BERNOULLI:
            law = count_law.table(levels, dtype=charge.dtype, device=charge.device)
            upper = count_law.lookup(law, whole, fraction)
        return whole + upper, upper * (1 - upper)


def _rounding_draws(draws: Draws | StepDraws, charge: Tensor) -> StepDraws:
    return draws.at(ROUNDING_DRAW, charge.shape) if isinstance(draws, Draws) else draws


def _clipped(values: Tensor, top: int | Tensor) -> Tensor:
    if isinstance(top, Tensor):
        return torch.minimum(values.clamp(min=0), top)
    return values.clamp(0, top)
