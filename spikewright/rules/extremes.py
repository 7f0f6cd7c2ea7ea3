"""The largest or the smallest of values: along dimensions, and of two signals.

Both are maxima to a network: of what has been sent up to a step, and so of the means in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Value
from spikewright.graph.nodes import Refusal
from spikewright.graph.routes import Chosen
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import each, keeps_batch
from spikewright.rules._products import elementwise
from spikewright.rules._scales import along_reduced, summed
from spikewright.rules.activations import clamped

aten = torch.ops.aten

_NO_MAX = Refusal("NIR has no maximum", "use averages and train the model anew")


class LargestAlong(Rule):
    """The largest or smallest value along dimensions."""

    targets = (aten.amax.default, aten.amin.default)
    kind = Kind.MAX
    label = "maximum"
    unwritten = _NO_MAX

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim", ()) or None, ndim)

    def keeps_whole_numbers(self, op: Operation, graph: Graph) -> bool:
        return True

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        return along_reduced(op, scales[op.inputs[0]])

    def route(self, op: Operation, graph: Graph) -> Chosen:
        return Chosen(partial(summed, op))


class LargestWithPlace(Rule):
    """The largest or smallest value along a dimension; its place is read by nobody."""

    targets = (aten.max.dim, aten.min.dim)
    kind = Kind.MAX

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        target = aten.amax.default if op.target is aten.max.dim else aten.amin.default
        args = (op.args[0], [op.argument(1, "dim")], op.argument(2, "keepdim", False))
        return replace(op, target=target, args=args, kwargs={})


class AdaptiveMaxPool(Rule):
    """The largest of every part of a plane, cut into as many parts as its value has places."""

    targets = (aten.adaptive_max_pool2d.default, aten.adaptive_max_pool3d.default)
    kind = Kind.MAX

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        shape = reading.shapes.get(op.args[0].name)
        if shape is None:
            return op
        places = 2 if op.target is aten.adaptive_max_pool2d.default else 3
        plane, out = shape[len(shape) - places :], each(op.args[1], places)
        if any(n % m for n, m in zip(plane, out, strict=True)):
            return op
        kernel = [n // m for n, m in zip(plane, out, strict=True)]
        pool = aten.max_pool2d.default if places == 2 else aten.max_pool3d.default
        return replace(op, target=pool, args=(op.args[0], kernel), kwargs={})

    def objection(self, op: Operation, ndim: int) -> str | None:
        return (
            f"its windows overlap, as {op.args[1]} places do not divide its input's; choose an "
            "output size that does"
        )


class Extremum(Rule):
    """The larger or the smaller of two values: a clamp where one of them is one number."""

    targets = (
        aten.maximum.default,
        aten.minimum.default,
        aten.max.other,
        aten.min.other,
        aten.fmax.default,
        aten.fmin.default,
    )
    kind = Kind.UNIT
    label = "maximum"
    unwritten = _NO_MAX

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        signals = [v for v in op.args[:2] if isinstance(v, Value) and v.name not in constants]
        return Kind.UNIT if len(signals) == 1 else Kind.MAX

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        larger = op.target in (aten.maximum.default, aten.max.other, aten.fmax.default)
        return clamped(op, reading, larger=larger)

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        equation = elementwise(op, dimensions)
        return equation if isinstance(equation, str) else None

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        first, *others = (scales.get(name) for name in op.inputs)
        same = first is not None and all(s is not None and torch.equal(s, first) for s in others)
        return first if same and len(others) == 1 else None

    def route(self, op: Operation, graph: Graph) -> Chosen | None:
        alike = all(graph.shapes[name] == op.shape for name in op.inputs)
        return Chosen(_either) if alike else None


def _either(*events: Tensor) -> Tensor:
    """What arrives at every place, of events `[R, *S]` from either side."""
    return torch.stack(events).sum(0)


register(LargestAlong(), LargestWithPlace(), AdaptiveMaxPool(), Extremum())
