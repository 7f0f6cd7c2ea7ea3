"""Activations that become layers of spiking neurons: the clipped rectifiers."""

from __future__ import annotations

from typing import Any

import torch

from spikewright import activations as _register_operators  # noqa: F401  # pyright: ignore
from spikewright.graph.ir import Kind, Operation, Site, Stored
from spikewright.graph.rule import Rule, register

aten = torch.ops.aten
own = torch.ops.spikewright


class Rectifier(Rule):
    """0 below 0, and the value above."""

    targets = (aten.relu.default, aten.relu6.default)
    kind = Kind.UNIT

    def site(self, op: Operation) -> Site | str:
        return Site("")


class Clamp(Rectifier):
    """The value between bounds that the call names; the lower one must be 0."""

    targets = (aten.hardtanh.default, aten.clamp.default, aten.clamp_min.default)

    def site(self, op: Operation) -> Site | str:
        lower, upper = _bounds(op)
        if not all(isinstance(bound, int | float | None) for bound in (lower, upper)):
            return "its bounds are not plain numbers"
        if lower is None or lower != 0:
            return f"its lower bound is {lower}; a spiking neuron needs exactly 0"
        if upper is not None and not upper > 0:
            return f"its upper bound is {upper}; it must be positive"
        return Site("")


class LearnedClip(Rectifier):
    """The value between 0 and a learned threshold; `qcfs` rounds it to levels too."""

    targets = (own.qcfs.default, own.clipped_relu.default)

    def site(self, op: Operation) -> Site | str:
        threshold = op.args[1]
        if op.target is own.qcfs.default:
            levels = op.args[2]
            if not isinstance(levels, int) or levels < 1:
                return f"its levels must be a whole number, at least 1, got {levels!r}"
        if not isinstance(threshold, Stored):
            return "its threshold must be a parameter, not computed"
        return Site("", threshold.name)


def _bounds(op: Operation) -> tuple[Any, Any]:
    if op.target is aten.hardtanh.default:
        return op.argument(1, "min_val", -1), op.argument(2, "max_val", 1)
    upper = None if op.target is aten.clamp_min.default else op.argument(2, "max")
    return op.argument(1, "min"), upper


register(Rectifier(), Clamp(), LearnedClip())
