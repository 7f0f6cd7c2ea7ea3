"""Pooling of windows, and means and sums over whole dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.nodes import Node, Refusal, average, flatten
from spikewright.graph.routes import Averaged, Chosen, Moved, PlaneMap, moved_by
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import (
    dimensions_of,
    each,
    in_its_dtype,
    keeps_batch,
    keeps_dtype,
)
from spikewright.rules._planes import PlaneMean, same_over_plane
from spikewright.rules._scales import along_reduced, summed

aten = torch.ops.aten


class MaxPool(Rule):
    """The largest of each window."""

    targets = (aten.max_pool1d.default, aten.max_pool2d.default, aten.max_pool3d.default)
    kind = Kind.MAX
    label = "max pool"
    unwritten = Refusal("NIR has no max pooling", "use average pooling and train the model anew")

    def keeps_whole_numbers(self, op: Operation, graph: Graph) -> bool:
        return True

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        return same_over_plane(op, scales[op.inputs[0]])

    def route(self, op: Operation, graph: Graph) -> Chosen:
        return Chosen(_windows(op, graph))


class PoolOfCoreAten(Rule):
    """Pooling under the names that core ATen programs have for it."""

    targets = (
        aten.max_pool2d_with_indices.default,
        aten.max_pool3d_with_indices.default,
        aten._adaptive_avg_pool2d.default,
        aten._adaptive_avg_pool3d.default,
    )
    kind = Kind.LINEAR

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        name = op.function.removeprefix("_").removesuffix("_with_indices")
        return replace(op, target=getattr(aten, name).default)


class AveragePool(PlaneMean):
    """The mean of each window."""

    targets = (
        aten.avg_pool1d.default,
        aten.avg_pool2d.default,
        aten.avg_pool3d.default,
        aten.adaptive_avg_pool1d.default,
        aten.adaptive_avg_pool2d.default,
        aten.adaptive_avg_pool3d.default,
    )
    label = "avg pool"

    def nir(self, op: Operation, graph: Graph) -> Any:
        pool = _IN_NIR.get(op.target)
        if pool is None:
            return super().nir(op, graph)
        shape = graph.shapes[op.inputs[0]]
        if len(shape) != 3:
            return Refusal(
                f"NIR pools images [C, H, W] only, it reads samples of shape {list(shape)}",
                "let the model take images with a dimension of channels",
            )
        return pool(op, shape)

    def lost_in_onnx(self, op: Operation) -> str | None:
        if op.function.startswith("adaptive"):
            return None
        divisor = op.argument(6, "divisor_override")
        return None if divisor is None else f"divisor_override={divisor}"


class Reduction(Rule):
    """The mean or the sum over dimensions."""

    targets = (aten.mean.dim, aten.sum.dim_IntList)
    kind = Kind.LINEAR

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        return in_its_dtype(op, reading)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_dtype(op) or keeps_batch(op.argument(1, "dim"), ndim)

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        return along_reduced(op, scales[op.inputs[0]])

    def route(self, op: Operation, graph: Graph) -> Averaged | Moved:
        """Over dimensions of one place, a mean or sum is a copy."""
        if math.prod(op.shape) == math.prod(graph.shapes[op.inputs[0]]):
            return moved_by(op, graph)
        return Averaged(partial(summed, op))

    def words(self, op: Operation, graph: Graph) -> str:
        return op.function

    def nir(self, op: Operation, graph: Graph) -> Any:
        if op.target is not aten.mean.dim:
            return super().nir(op, graph)
        shape = graph.shapes[op.inputs[0]]
        dims = {d % (len(shape) + 1) for d in op.argument(1, "dim")}
        if len(shape) != 3 or dims != {2, 3} or op.argument(3, "dtype") is not None:
            return Refusal("NIR averages over both dimensions of an image only", "use mean((2, 3))")
        pooled = average(shape[1:], shape[1:])
        return (pooled,) if len(op.shape) == 3 else (pooled, flatten((shape[0], 1, 1)))


def _windows(op: Operation, graph: Graph) -> PlaneMap:
    """Which inputs each output of a max pool chooses from."""
    dimensions = dimensions_of(op)
    shape = graph.shapes[op.inputs[0]]
    plane, out = shape[len(shape) - dimensions :], op.shape[len(op.shape) - dimensions :]
    kernel = each(op.argument(1, "kernel_size"), dimensions)
    stride = each(op.argument(2, "stride") or kernel, dimensions)
    padding = each(op.argument(3, "padding", 0), dimensions)
    dilation = each(op.argument(4, "dilation", 1), dimensions)
    matrices: list[Tensor] = []
    for axis in range(dimensions):
        matrix = torch.zeros(out[axis], plane[axis], dtype=torch.float64)
        for o in range(out[axis]):
            start = o * stride[axis] - padding[axis]
            places = (start + k * dilation[axis] for k in range(kernel[axis]))
            matrix[o, [p for p in places if 0 <= p < plane[axis]]] = 1
        matrices.append(matrix)
    return PlaneMap(matrices)


def _average_pool(op: Operation, shape: tuple[int, ...]) -> tuple[Node, ...] | Refusal:
    kernel = each(op.argument(1, "kernel_size"), 2)
    stride = each(op.argument(2, "stride") or kernel, 2)
    if any(each(op.argument(3, "padding", 0), 2)):
        return Refusal(
            "NIR does not say whether an average counts padded zeros",
            "average without padding, or by a convolution",
        )
    if op.argument(6, "divisor_override") is not None:
        return Refusal("NIR's averages divide by the size of the window", "drop divisor_override")
    down = [(n - k) // s + 1 for n, k, s in zip(shape[1:], kernel, stride, strict=True)]
    if op.shape != (shape[0], *down):
        return Refusal("NIR's averages take whole windows only", "use ceil_mode=False")
    return (average(kernel, stride),)


def _adaptive_pool(op: Operation, shape: tuple[int, ...]) -> tuple[Node, ...] | Refusal:
    _, *before = shape
    _, *after = op.shape
    if any(n % m for n, m in zip(before, after, strict=True)):
        return Refusal(
            f"its windows from {before} to {after} are of uneven size, NIR's are all alike",
            "choose an output size that divides the input's",
        )
    kernel = tuple(n // m for n, m in zip(before, after, strict=True))
    return (average(kernel, kernel),) if before != after else ()


_IN_NIR: dict[Any, Any] = {
    aten.avg_pool2d.default: _average_pool,
    aten.adaptive_avg_pool2d.default: _adaptive_pool,
}
"""The pools that NIR has a node for."""


register(MaxPool(), PoolOfCoreAten(), AveragePool(), Reduction())
