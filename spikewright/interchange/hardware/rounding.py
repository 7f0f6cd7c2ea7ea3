"""How real weights, thresholds and biases become whole numbers of a common unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST_WEIGHT = 127
"""Weights are signed 8-bit numbers, the same range on both sides of 0."""

LEAST_THRESHOLD = 256
"""Thresholds of fewer units than this get a finer unit, so that rounding moves none by more than
1 / 512 of itself."""

_MOST_SHIFT = 8
_FACTOR_ERROR = 2.0**-10
_FLOOR_SLACK = 1e-6


def quantised_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights `[O, ...]` as signed 8-bit numbers, symmetric, per output channel.

    Returns:
        The numbers, int8 `[O, ...]`, and what a one of them stands for, float64 `[O]`: the
        channel's largest weight / 127. A channel without any weight takes the layer's.
    """
    wide = weight.double()
    largest = wide.abs().flatten(1).amax(1)
    common = largest.amax() if bool(largest.any()) else largest.new_ones(())
    unit = torch.where(largest > 0, largest, common) / LARGEST_WEIGHT
    whole = (wide / unit.reshape(-1, *[1] * (weight.ndim - 1))).round()
    return whole.to(torch.int8), unit


def common_unit(scales: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """A unit that signals of different scales can be added in, and each one's whole factor.

    The unit is the smallest scale over a power of two, up to 2**8, the least at which rounding
    moves no factor by more than 2**-10 of itself; at 2**8 none moves by more than 2**-9.

    Args:
        scales: positive, float64, broadcastable with each other.

    Returns:
        The unit and the factors, float64, such that `scale ~ factor * unit`.
    """
    together = torch.stack(torch.broadcast_tensors(*scales))
    smallest = together.amin(0)
    ratios = together / smallest
    finest = 2.0**_MOST_SHIFT
    unit, factors = smallest / finest, (ratios * finest).round()
    for shift in reversed(range(_MOST_SHIFT)):
        exact = ratios * 2.0**shift
        enough = ((exact.round() / exact - 1).abs() <= _FACTOR_ERROR).all(0)
        unit = torch.where(enough, smallest / 2.0**shift, unit)
        factors = torch.where(enough, exact.round(), factors)
    return unit, list(factors)


@dataclass(frozen=True)
class WholeNeurons:
    """A layer of neurons in units of its membrane, all float64 and whole.

    A step adds `(current << shift) + bias` to a potential that began at `initial`.

    Attributes:
        unit: what a one of the potential stands for, in the model's own unit.
        shift: 0 or more.
        threshold: at least 1.
        bias: at every step.
        initial: before the first step.
    """

    unit: Tensor
    shift: Tensor
    threshold: Tensor
    bias: Tensor
    initial: Tensor


def whole_neurons(
    scale: Tensor, threshold: Tensor, current: Tensor, start: Tensor, steps: int
) -> WholeNeurons:
    """Thresholds, biases and initial potentials as whole numbers.

    What rounding the bias leaves over in T steps is given to the initial potential, which is
    rounded down: a whole charge x reaches `k * threshold - initial` exactly when it reaches that
    with the fraction of `initial` kept.

    Args:
        scale: what a one of the incoming current stands for.
        threshold: theta.
        current: constant, at every step.
        start: potential before the first step.
        steps: T.

    All are float64 and broadcast with each other.
    """
    shift = (LEAST_THRESHOLD * scale / threshold).log2().ceil().clamp(min=0)
    unit = scale / 2.0**shift
    bias = (current / unit).round()
    left = steps * (current / unit - bias)
    initial = (start / unit + left + _FLOOR_SLACK).floor()
    whole = (threshold / unit).round()
    return WholeNeurons(unit, shift, whole, bias, initial)


def compressed(values: Tensor) -> Tensor:
    """Values `[1, *S]` with every dimension along which they are constant cut to size 1."""
    for dim in range(1, values.ndim):
        first = values.narrow(dim, 0, 1)
        if values.shape[dim] > 1 and bool((values == first).all()):
            values = first
    return values.contiguous()
