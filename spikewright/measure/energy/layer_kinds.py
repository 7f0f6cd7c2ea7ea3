"""What a layer computes, in a few words: the operations on the way to its neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Graph, Kind, Operation
from spikewright.graph.ir import Stored, Value
from spikewright.graph.operations import (
    CONVOLUTIONS,
    PLANE_MEANS,
    TRANSPOSED_CONVOLUTIONS,
    argument,
)
from spikewright.measure.energy.routes import FACTORS, SUMS, owners

aten = torch.ops.aten
_SINGLE: Mapping[Any, str] = {
    aten.matmul.default: "matmul",
    aten.mean.dim: "mean",
    aten.sum.dim_IntList: "sum",
    aten.cat.default: "concat",
    aten.stack.default: "concat",
    **dict.fromkeys(FACTORS, "scaling"),
}


def layer_kinds(graph: Graph) -> dict[str, str]:
    """For every site, and the output, what computes on the way to it.

    Args:
        graph: as captured, batch norm folded.

    Returns:
        Words such as "conv 3×3, 16 → 32, stride 2 + add"; "" where data is only moved.
    """
    charged = owners(graph)
    found: dict[str, dict[str, int]] = {}
    for op in graph.operations:
        told = _told(op, graph.tensors)
        if told:
            kinds = found.setdefault(charged[op.name], {})
            kinds[told] = kinds.get(told, 0) + 1
    return {
        site: " + ".join(f"{n} × {told}" if n > 1 else told for told, n in kinds.items())
        for site, kinds in found.items()
    }


def _told(op: Operation, tensors: Mapping[str, Tensor]) -> str:
    if op.kind is Kind.CONSTANT or op.site is not None:
        return ""
    if op.target in CONVOLUTIONS or op.target in TRANSPOSED_CONVOLUTIONS:
        return _convolution(op, tensors)
    if op.target is aten.linear.default:
        shape = _weights(op, tensors)
        return f"linear, {shape[1]:,} → {shape[0]:,}" if shape else "linear"
    if op.kind is Kind.MAX:
        return "max pool"
    if op.target in PLANE_MEANS:
        return "avg pool" if "pool" in op.operator else "upsample"
    if op.target in SUMS:  # of two branches; a constant is no layer's work
        return "add" if sum(isinstance(leaf, Value) for leaf in op.args[:2]) == 2 else ""
    return _SINGLE.get(op.target, "")


def _weights(op: Operation, tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    weight = argument(op, 1, "weight")
    return tuple(tensors[weight.name].shape) if isinstance(weight, Stored) else ()


def _convolution(op: Operation, tensors: Mapping[str, Tensor]) -> str:
    transposed = op.target in TRANSPOSED_CONVOLUTIONS
    name = "transposed conv" if transposed else "conv"
    shape = _weights(op, tensors)
    if not shape:
        return name
    groups = int(argument(op, 6, "groups", 1))
    first, second = (shape[0], shape[1] * groups)
    taken, given = (first, second) if transposed else (second, first)
    if groups == taken > 1:
        name = f"depthwise {name}"
    told = f"{name} {'×'.join(map(str, shape[2:]))}, {taken:,} → {given:,}"
    if 1 < groups < taken:
        told += f" in {groups} groups"
    return told + _stride(argument(op, 3, "stride", 1))


def _stride(given: Any) -> str:
    sizes = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    if set(sizes) == {1}:
        return ""
    return f", stride {sizes[0] if len(set(sizes)) == 1 else '×'.join(map(str, sizes))}"
