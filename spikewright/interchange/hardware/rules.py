"""What each operation is in whole numbers: the rules of the hardware bundle.

Signals are whole numbers times a scale. A weighted operation takes the scale of its input into its
weights before they are rounded, so nothing is rounded twice; an operation that moves values moves
their scales with them; where signals of different scale are added, each is multiplied by a whole
factor. Constants are left out everywhere: what they add up to at each neuron is its bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Operation, Value
from spikewright.graph.operations import argument
from spikewright.interchange.hardware.build import (
    Build,
    Edge,
    Refused,
    Rule,
    each_dimension,
    whole,
)
from spikewright.interchange.hardware.moves import MOVES
from spikewright.interchange.hardware.pooling import POOLING
from spikewright.interchange.hardware.rounding import common_unit, compressed, quantised_weights

aten = torch.ops.aten


def _convolution(op: Operation, build: Build) -> Edge:
    source, weight = build.source(op), build.constant(op.args[1])
    dimensions = weight.ndim - 2
    stride, padding, dilation = _geometry(op, weight.shape[2:])
    groups = argument(op, 6, "groups", 1)
    if source.scale.ndim != weight.ndim or any(n != 1 for n in source.scale.shape[2:]):
        raise Refused("its input has another scale at every place, which weights cannot take in")
    rows = len(weight) // groups
    by_input = source.scale.flatten().expand(groups * weight.shape[1]).reshape(groups, -1)
    scaled = weight * by_input.repeat_interleave(rows, 0)[(..., *[None] * dimensions)]
    return _weighted(
        op,
        build,
        source,
        scaled,
        "convolution",
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _geometry(op: Operation, kernel: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and dilation, one each for every dimension of the plane."""
    stride, dilation = (
        each_dimension(argument(op, position, name, 1), len(kernel))
        for position, name in ((3, "stride"), (5, "dilation"))
    )
    padding = argument(op, 4, "padding", 0)
    if not isinstance(padding, str):
        return stride, each_dimension(padding, len(kernel)), dilation
    zeros = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
    if any(n % 2 for n in zeros):
        raise Refused("padding='same' pads it unevenly; pad with F.pad before it")
    return stride, [n // 2 for n in zeros], dilation


def _linear(op: Operation, build: Build) -> Edge:
    source, weight = build.source(op), build.constant(op.args[1])
    if any(n != 1 for n in source.scale.shape[1:-1]):
        raise Refused("its input has another scale at every place, which weights cannot take in")
    return _weighted(op, build, source, weight * source.scale.flatten(), "linear")


def _weighted(
    op: Operation, build: Build, source: Edge, weight: Tensor, kind: str, **geometry: Any
) -> Edge:
    numbers, unit = quantised_weights(weight)
    most = int(numbers.long().abs().flatten(1).sum(1).amax())
    places = [1] * (len(op.shape) + 1)
    places[-1 if kind == "linear" else 1] = -1
    scale = unit.reshape(places)
    arrays = {"weight": numbers}
    return build.add(op, kind, [source], scale, most * source.bound, arrays, **geometry)


def _added(op: Operation, build: Build) -> Edge:
    """`a + alpha * b` and `a - alpha * b`; a constant is left to the neuron that it reaches."""
    weight = float(argument(op, 2, "alpha", 1))
    sign = -1.0 if op.target in (aten.sub.Tensor, aten.sub.Scalar) else 1.0
    terms = [(op.args[0], 1.0), (op.args[1], sign * weight)]
    return _sum(op, build, [(leaf, _number(by)) for leaf, by in terms if build.is_signal(leaf)])


def _scaled(op: Operation, build: Build) -> Edge:
    first, second = op.args[0], op.args[1]
    signal, other = (first, second) if build.is_signal(first) else (second, first)
    return _sum(op, build, [(signal, build.constant(other))])


def _divided(op: Operation, build: Build) -> Edge:
    return _sum(op, build, [(op.args[0], 1 / build.constant(op.args[1]))])


def _negated(op: Operation, build: Build) -> Edge:
    """`-a`, and the signal of `constant - alpha * a`."""
    return _sum(op, build, [(op.args[0], _number(-float(argument(op, 2, "alpha", 1))))])


def _affine(op: Operation, build: Build) -> Edge:
    """`shift + signal * scale * value`, which batch norm leaves where nothing takes it in."""
    by = build.constant(op.args[2]) * float(argument(op, 3, "value", 1))
    return _sum(op, build, [(op.args[1], by)])


def _sum(op: Operation, build: Build, terms: Sequence[tuple[Value, Tensor]]) -> Edge:
    """The sum of signals, each times a real factor: its scale, and its sign."""
    edges, scales, signs = [], list[Tensor](), list[Tensor]()
    for signal, factor in terms:
        edge = build.edges[signal.name]
        if build.shape(signal.name) != op.shape:
            raise Refused("it spreads its input over a larger shape")
        factor = factor.reshape([1] * (len(op.shape) + 1 - factor.ndim) + list(factor.shape))
        edges.append(edge)
        scales.append(edge.scale * torch.where(factor == 0, 1.0, factor.abs()))
        signs.append(factor.sign())
    if len(edges) == 1 and bool((signs[0] == 1).all()):
        return Edge(edges[0].node, compressed(scales[0]), edges[0].bound)
    unit, factors = common_unit(scales)
    signed = [compressed(f * s)[0] for f, s in zip(factors, signs, strict=True)]
    bound = sum(int(f.abs().amax()) * edge.bound for f, edge in zip(signed, edges, strict=True))
    arrays = {f"factor_{i}": whole(f) for i, f in enumerate(signed)}
    return build.add(op, "sum", edges, compressed(unit), bound, arrays)


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


RULES: Mapping[Any, Rule] = {
    **MOVES,
    **POOLING,
    aten.conv1d.default: _convolution,
    aten.conv2d.default: _convolution,
    aten.conv1d.padding: _convolution,
    aten.conv2d.padding: _convolution,
    aten.linear.default: _linear,
    aten.add.Tensor: _added,
    aten.add.Scalar: _added,
    aten.sub.Tensor: _added,
    aten.sub.Scalar: _added,
    aten.mul.Tensor: _scaled,
    aten.mul.Scalar: _scaled,
    aten.div.Tensor: _divided,
    aten.div.Scalar: _divided,
    aten.neg.default: _negated,
    aten.rsub.Scalar: _negated,
    aten.addcmul.default: _affine,
}
"""By operation. What is not here has no integer form, and is refused."""
