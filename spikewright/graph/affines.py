"""What scales and shifts a channel before weights is taken in by them, borders and all.

    W * pad(a x + c) = (W a) * pad(x) + W * pad(c)

A batch norm between an activation and a convolution with a border of zeros is no part of its
weights: at the border there is no `c`. Left where it is, it turns spikes into numbers that weights
must be multiplied with. So `c` goes behind the weights, where it is a bias: one a channel, or one a
place for the border.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from spikewright.graph.evaluate import call
from spikewright.graph.ir import Graph, Operation, Stored, Value
from spikewright.graph.maxima import is_affine_of_value
from spikewright.graph.primitives import SUM
from spikewright.graph.routes import Averaged, Moved
from spikewright.graph.rule import rule_of

SENT = ".sent"
"""What the name of an operation ends in whose bias, one a place, is added behind it."""
_SAME = 1e-12
"""Biases of one channel that differ by less, relative to the largest, are one: rounding of sums."""


def with_affines_in_weights(graph: Graph) -> Graph:
    """The same network, without the affines of channels that weights alone read.

    Args:
        graph: whose batch norms are affines, `shift + value * scale` with `[1, C, 1, ...]`.
    """
    shown = {port.name for port in graph.inputs}
    tensors, renamed = dict(graph.tensors), dict[str, str]()
    changed: dict[str, list[Operation]] = {}
    for op in graph.operations:
        if not is_affine_of_value(op, graph) or op.args[1].name in shown:
            continue
        reading = _reading(op, graph, tensors)
        if reading is not None:
            renamed[op.name] = op.args[1].name
            changed[op.name] = []
            for weighted in reading.weights:
                changed[weighted.name] = _taken(weighted, reading, tensors)
    if not changed:
        return graph
    listed = [o for op in graph.operations for o in changed.get(op.name, [op])]
    rewired = tuple(op.rewired(renamed) for op in listed)
    return replace(graph, operations=rewired, tensors=tensors).pruned()


@dataclass
class _Reading:
    """Who reads an affine's values.

    Attributes:
        scales, shifts: of these values and what they become where they are moved and averaged.
        weights: the operations that read them.
    """

    scales: dict[str, Any]
    shifts: dict[str, Tensor]
    weights: list[Operation] = field(default_factory=list[Operation])


def _reading(affine: Operation, graph: Graph, tensors: Mapping[str, Tensor]) -> _Reading | None:
    """The weights that read an affine, and nothing else does; None where anything else does."""
    parts = [tensors[affine.args[at].name].double() for at in (0, 2)]
    shift, scale = (  # with the dimensions of the values, as broadcasting aligns them
        part.reshape(*[1] * (1 + len(affine.shape) - part.ndim), *part.shape) for part in parts
    )
    found = _Reading({affine.name: scale}, {affine.name: shift.expand(1, *affine.shape)})
    for op in graph.operations:
        if found.scales.keys().isdisjoint(op.inputs):
            continue
        rule = rule_of(op)
        if len(op.inputs) > 1:
            return None
        if rule.takes_batch_norm(op):
            found.weights.append(op)
            continue
        passed = rule.passed(op, found.scales, graph)
        if passed is None or not isinstance(rule.route(op, graph), Moved | Averaged):
            return None
        found.scales[op.name] = passed
        found.shifts[op.name] = call(op, found.shifts, tensors, 1)
    if not found.weights or not found.scales.keys().isdisjoint(graph.outputs):
        return None
    taken = all(_scaled(op, found, tensors) is not None for op in found.weights)
    return found if taken else None


def _scaled(op: Operation, reading: _Reading, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Weights that take in the scale of what they read, or None where they cannot."""
    weight = tensors[op.args[1].name].double()
    return rule_of(op).absorbed(op, weight, reading.scales[op.inputs[0]])


def _taken(op: Operation, reading: _Reading, tensors: dict[str, Tensor]) -> list[Operation]:
    """Weights that took an affine in: with a bias a channel, or with one a place behind them."""
    dtype = tensors[op.args[1].name].dtype
    doubled = {name: tensors[name].double() for name in op.stored}
    biases = call(op, reading.shifts, doubled, 1)
    scaled = _scaled(op, reading, tensors)
    assert scaled is not None
    weight = Stored.made(tensors, f"{op.name}.weight", scaled.to(dtype), "taken")
    places = biases.movedim(-1 if op.function == "linear" else 1, 0).flatten(1)
    alike = (places - places[:, :1]).abs().amax() <= _SAME * places.abs().amax()
    behind = (places[:, 0] if alike else biases).to(dtype)
    shift = Stored.made(tensors, f"{op.name}.bias", behind, "taken")
    kwargs = {key: value for key, value in op.kwargs.items() if key != "bias"}
    bias = shift if alike else None
    weighted = replace(op, args=(op.args[0], weight, bias, *op.args[3:]), kwargs=kwargs)
    if alike:
        return [weighted]
    sent = f"{op.name}{SENT}"
    both = replace(op, target=SUM, args=(Value(sent), shift), kwargs={})
    return [replace(weighted, name=sent), both]
