"""Which operations are activations that become layers of spiking neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from spikewright import activations as _register_operators  # noqa: F401  # pyright: ignore
from spikewright.graph.ir import Operation, Site, Stored
from spikewright.graph.operations import argument

aten = torch.ops.aten

Recognise = Callable[[Operation], "Site | str"]
"""Describes the site an activation makes (its name still empty), or says why it makes none."""


def _unbounded(op: Operation) -> Site | str:
    return Site("")


def _clip(low_at: int, low: str, high_at: int, high: str, default: tuple[Any, Any]) -> Recognise:
    def recognise(op: Operation) -> Site | str:
        lower = argument(op, low_at, low, default[0])
        upper = argument(op, high_at, high, default[1])
        if not all(isinstance(bound, (int, float, type(None))) for bound in (lower, upper)):
            return "its bounds are not plain numbers"
        if lower is None or lower != 0:
            return f"its lower bound is {lower}; a spiking neuron needs exactly 0"
        if upper is not None and not upper > 0:
            return f"its upper bound is {upper}; it must be positive"
        return Site("")

    return recognise


def _learned(op: Operation) -> Site | str:
    threshold = op.args[1]
    if not isinstance(threshold, Stored):
        return "its threshold must be a parameter, not computed"
    return Site("", threshold.name)


def _qcfs(op: Operation) -> Site | str:
    levels = op.args[2]
    if not isinstance(levels, int) or levels < 1:
        return f"its levels must be a whole number, at least 1, got {levels!r}"
    return _learned(op)


NEURONS: dict[Any, Recognise] = {
    aten.relu.default: _unbounded,
    aten.relu6.default: _unbounded,
    aten.hardtanh.default: _clip(1, "min_val", 2, "max_val", (-1, 1)),
    aten.clamp.default: _clip(1, "min", 2, "max", (None, None)),
    aten.clamp_min.default: _clip(1, "min", 99, "", (None, None)),
    torch.ops.spikewright.qcfs.default: _qcfs,
    torch.ops.spikewright.clipped_relu.default: _learned,
}
"""The activations that convert, and how each describes its site."""
