"""Chunks of time: how many steps are computed at once, and values over them, `[steps * B, *S]`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikewright.graph.ir import Graph


def repeated(value: Tensor, steps: int) -> Tensor:
    """The same at every step, `[steps * B, *S]`."""
    return value.expand(steps, *value.shape).flatten(0, 1)


def time_chunk(graph: Graph, batch: int, duration: int, memory_budget: int) -> int:
    """Steps that fit in a memory budget, at least 1.

    A step is taken to hold its largest value six times over: its input, its output, the
    temporaries of neurons, and branches kept for later.
    """
    largest = max(math.prod(op.shape) for op in graph.operations)
    per_step = 6 * largest * batch * graph.dtype.itemsize
    return max(1, min(duration, memory_budget // max(1, per_step)))


def added(total: Tensor | None, values: Tensor, weights: list[float]) -> Tensor:
    """A running weighted sum, one step after the other, so that time chunks do not matter.

    What weighs nothing adds nothing, be it infinite.
    """
    for value, weight in zip(values, weights, strict=True):
        term = value * weight if weight else torch.zeros_like(value)
        total = term if total is None else total + term
    assert total is not None
    return total
