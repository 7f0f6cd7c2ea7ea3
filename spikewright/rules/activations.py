"""Activations that become layers of spiking neurons: the clipped rectifiers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from spikewright import activations as _register_operators  # noqa: F401  # pyright: ignore
from spikewright.graph.ir import Kind, Operation, Site, Stored, Value
from spikewright.graph.rule import Reading, Rule, register

aten = torch.ops.aten
own = torch.ops.spikewright


class Rectifier(Rule):
    """0 below 0, and the value above."""

    targets = (aten.relu.default, aten.relu6.default)
    kind = Kind.UNIT
    rectifies = True

    def site(self, op: Operation) -> Site | str:
        found, upper = super().site(op), _bounds(op)[1]
        if isinstance(found, str) or not isinstance(upper, int | float):
            return found
        return replace(found, ceiling=float(upper))


class Clamp(Rectifier):
    """The value between bounds; a rectifier where the lower one is 0.

    An upper bound alone is one with 0 where it reads a rectified value.
    """

    targets = (
        aten.hardtanh.default,
        aten.clamp.default,
        aten.clamp.Tensor,
        aten.clamp_min.default,
        aten.clamp_max.default,
    )

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if not isinstance(op.args[0], Value):
            return op
        bounds = _bounds(op)
        if bounds[0] is not None and all(isinstance(b, int | float | None) for b in bounds):
            return op  # it is plain already, and keeps its name
        lower, upper = (_plain(bound, reading) for bound in bounds)
        return _between(op, op.args[0], (lower, upper), reading)

    def site(self, op: Operation) -> Site | str:
        found = super().site(op)
        lower, upper = _bounds(op)
        plain = all(isinstance(bound, int | float | None) for bound in (lower, upper))
        rectifies = plain and lower == 0 and (upper is None or upper > 0)
        if isinstance(found, str):
            return found
        ceiling = found.ceiling if rectifies else math.inf
        return replace(found, rectifies=rectifies, ceiling=ceiling)


class LearnedClip(Rectifier):
    """The value between 0 and a learned threshold; `qcfs` rounds it to levels too."""

    targets = (own.qcfs.default, own.clipped_relu.default)

    def site(self, op: Operation) -> Site | str:
        threshold = op.args[1]
        if op.target is own.qcfs.default:
            levels = op.args[2]
            if not isinstance(levels, int) or levels < 1:
                return f"its levels must be a whole number, at least 1; got {levels!r}"
        if not isinstance(threshold, Stored):
            return "its threshold must be a parameter, not computed; keep it in an nn.Parameter"
        return Site("", threshold.name, rectifies=True)


class Threshold(Rule):
    """A jump, or a bend, at a number; `F.threshold(x, 0, 0)` is a rectifier.

    A randomised leaky ReLU has the mean of its slopes once training is over.
    """

    targets = (aten.threshold.default, aten.leaky_relu.default, aten.rrelu.default)
    kind = Kind.UNIT

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if op.target is aten.rrelu.default and not op.argument(3, "training", False):
            lower, upper = op.argument(1, "lower", 1 / 8), op.argument(2, "upper", 1 / 3)
            args = (op.args[0], (lower + upper) / 2)
            op = replace(op, target=aten.leaky_relu.default, args=args, kwargs={})
        leaky = op.target is aten.leaky_relu.default
        numbers = (op.argument(1, "negative_slope", 0.01),) if leaky else op.args[1:3]
        if any(number != 0 for number in numbers):
            return op
        return replace(op, target=aten.relu.default, args=op.args[:1], kwargs={})


class Clip(Rule):
    """`torch.clip`, another name of `torch.clamp`."""

    targets = (aten.clip.default, aten.clip.Tensor)
    kind = Kind.UNIT

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        plain = op.target is aten.clip.default
        op = replace(op, target=aten.clamp.default if plain else aten.clamp.Tensor)
        return Clamp().normal_form(op, reading)


def clamped(op: Operation, reading: Reading, *, larger: bool) -> Operation:
    """The larger or the smaller of a signal and one number as a clamp; else the call."""
    leaves = [_plain(leaf, reading) for leaf in op.args[:2]]
    signals = [leaf for leaf in leaves if isinstance(leaf, Value)]
    if len(signals) != 1:
        return op
    (bound,) = (leaf for leaf in leaves if not isinstance(leaf, Value))
    return _between(op, signals[0], (bound, None) if larger else (None, bound), reading)


def _between(op: Operation, signal: Any, bounds: tuple[Any, Any], reading: Reading) -> Operation:
    """A clamp of a signal between two numbers, as plainly as it can be written; else the call."""
    lower, upper = (None if bound in _FAR else bound for bound in bounds)
    if lower is None and upper is None:
        return replace(op, target=aten.alias.default, args=(signal,), kwargs={})
    if not all(isinstance(bound, int | float | None) for bound in (lower, upper)):
        return op
    source = reading.maker(signal)
    site = None if source is None else source.site
    if lower is None and source is not None and site and site.rectifies and not site.threshold:
        before = _bounds(source)[1]  # a clamp of a clamp is one between 0 and the lesser bound
        upper = upper if before is None else min(before, upper)
        signal, lower = source.args[0], 0
    if upper is None and lower == 0:
        return replace(op, target=aten.clamp_min.default, args=(signal, 0), kwargs={})
    return replace(op, target=aten.clamp.default, args=(signal, lower, upper), kwargs={})


_FAR = (-math.inf, math.inf)
"""Bounds that bound nothing."""


def _plain(leaf: Any, reading: Reading) -> Any:
    """A constant of one number as that number; other arguments as they are."""
    tensor, maker = reading.tensor(leaf), reading.maker(leaf)
    if tensor is not None and tensor.numel() and bool((tensor == tensor.flatten()[0]).all()):
        return tensor.flatten()[0].item()
    if maker is not None and maker.target is aten.full.default:
        return maker.argument(1, "fill_value")
    return leaf


def _bounds(op: Operation) -> tuple[Any, Any]:
    if op.target in (aten.relu.default, aten.relu6.default):
        return 0, 6 if op.target is aten.relu6.default else None
    if op.target is aten.clamp_max.default:
        return None, op.argument(1, "max")
    if op.target is aten.hardtanh.default:
        return op.argument(1, "min_val", -1), op.argument(2, "max_val", 1)
    upper = None if op.target is aten.clamp_min.default else op.argument(2, "max")
    return op.argument(1, "min"), upper


register(Rectifier(), Clamp(), LearnedClip(), Threshold(), Clip())
