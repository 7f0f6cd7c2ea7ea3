"""Scale folding: thresholds move into the weights that follow, so that spikes stay 0 or 1.

A neuron's spike stands for its threshold. Every value carries a scale, as small as it can be
written (`[1, C, 1, 1]` for thresholds per channel), until a weighted operation takes it into its
weights. Where nothing can (an addition of branches, the output), one explicit multiplication by
a constant stands in the graph and is counted as what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.graph.evaluate import call
from spikewright.graph.ir import Graph, Kind, Operation, Stored, Value
from spikewright.graph.operations import (
    CONVOLUTIONS,
    MAX_POOLS,
    PLANE_MEANS,
    REARRANGING,
    TRANSPOSED_CONVOLUTIONS,
    argument,
)

aten = torch.ops.aten


def fold_scales(graph: Graph, scales: Mapping[str, Tensor]) -> Graph:
    """The graph whose neurons emit 0 or 1 where the original's values were 0 or a scale.

    Args:
        graph: without batch norm.
        scales: by site name, what a spike stands for, positive, `[1, C, 1, ...]` or `[1, 1, ...]`.

    Returns:
        A graph with new weights, computing the same function when each neuron operation's value
        is divided by its scale.
    """
    return _Folder(graph, scales).fold()


class _Folder:
    """One forward pass over the graph; one use."""

    def __init__(self, graph: Graph, scales: Mapping[str, Tensor]) -> None:
        self._graph = graph
        self._site_scales = scales
        self._tensors = dict(graph.tensors)
        self._shapes = {graph.input: graph.input_shape}
        self._shapes.update((op.name, op.shape) for op in graph.operations)
        self._scale: dict[str, Any] = {}  # a tensor, or a list of them for split's several values
        self._operations: list[Operation] = []

    def fold(self) -> Graph:
        for op in self._graph.operations:
            if op.site is not None:
                self._operations.append(self._with_explicit_scales(op))
                self._scale[op.name] = self._site_scales[op.site.name]
            elif any(name in self._scale for name in op.inputs):
                self._operations.append(self._folded(op))
            else:
                self._operations.append(op)
        output = self._explicit(self._graph.output)
        return replace(
            self._graph, operations=tuple(self._operations), tensors=self._tensors, output=output
        ).pruned()

    def _folded(self, op: Operation) -> Operation:
        """The operation after it took in, or passed on, the scales of its inputs."""
        absorb = _ABSORBING.get(op.target)
        if absorb is not None:
            weight_at, scaled = absorb
            source = self._scale[op.inputs[0]]
            weight = scaled(op, self._tensors[op.args[weight_at].name], source)
            if weight is not None:
                return self._with_weight(op, weight_at, weight)
        elif op.target is aten.cat.default:
            self._scale[op.name] = self._concatenated(op)
            return op
        elif op.target in _PASSING:
            passed = _PASSING[op.target](op, self._scale[op.inputs[0]], self._shapes)
            if passed is not None:
                self._scale[op.name] = passed
                return op
        return self._with_explicit_scales(op)

    def _with_weight(self, op: Operation, position: int, weight: Tensor) -> Operation:
        name = f"{op.name}.folded"
        self._tensors[name] = weight
        return replace(op, args=(*op.args[:position], Stored(name), *op.args[position + 1 :]))

    def _concatenated(self, op: Operation) -> Tensor:
        names = [part.name for part in op.args[0]]
        dim = argument(op, 1, "dim", 0) % (len(op.shape) + 1)
        known = next(self._scale[n] for n in names if n in self._scale)
        parts: list[Tensor] = []
        for name in names:
            scale = self._scale.get(name, known.new_ones([1] * known.ndim))
            sizes = list(scale.shape)
            sizes[dim] = self._shapes[name][dim - 1]
            parts.append(scale.expand(sizes))
        full = [max(p.shape[d] for p in parts) for d in range(known.ndim)]
        parts = [p.expand(*full[:dim], p.shape[dim], *full[dim + 1 :]) for p in parts]
        return _compressed(torch.cat(parts, dim))

    def _with_explicit_scales(self, op: Operation) -> Operation:
        return op.rewired({name: self._explicit(name) for name in op.inputs})

    def _explicit(self, name: str) -> str:
        """The name of the value with its scale multiplied in, one operation for all its readers."""
        scale = self._scale.get(name)
        if scale is None:
            return name
        if isinstance(scale, list):
            raise AssertionError(f"{name}: several values are read by getitem only")
        scaled = f"{name}.scaled"
        if scaled not in self._shapes:
            maker = next(op for op in self._operations if op.name == name)
            self._tensors[scaled] = scale
            self._shapes[scaled] = self._shapes[name]
            args = (Value(name), Stored(scaled))
            self._operations.append(
                replace(
                    maker,
                    name=scaled,
                    target=aten.mul.Tensor,
                    args=args,
                    kwargs={},
                    kind=Kind.LINEAR,
                    site=None,
                )
            )
        return scaled


def _convolution(op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
    """Weights `[O, I / groups, *K]`, scale per input channel."""
    if any(n != 1 for n in scale.shape[2:]):
        return None
    dimensions = weight.ndim - 2
    groups = argument(op, 6, "groups", 1)
    per_group = weight.shape[1]
    channels = scale.flatten().expand(groups * per_group).reshape(groups, 1, per_group)
    rows = channels.expand(groups, weight.shape[0] // groups, per_group)
    return weight * rows.reshape(weight.shape[0], per_group, *[1] * dimensions)


def _transposed_convolution(op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
    """Weights `[I, O / groups, *K]`, scale per input channel."""
    if any(n != 1 for n in scale.shape[2:]):
        return None
    return weight * scale.flatten().expand(len(weight)).reshape(-1, *[1] * (weight.ndim - 1))


def _linear(op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
    """Weights `[O, I]`, scale per feature (the last dimension)."""
    if any(n != 1 for n in scale.shape[1:-1]):
        return None
    return weight * scale.flatten()


def _affine(op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
    """`shift + value * weight`: the scale multiplies the weight."""
    return weight * scale


_ABSORBING: dict[Any, tuple[int, Callable[[Operation, Tensor, Tensor], Tensor | None]]] = {
    **dict.fromkeys(CONVOLUTIONS, (1, _convolution)),
    **dict.fromkeys(TRANSPOSED_CONVOLUTIONS, (1, _transposed_convolution)),
    aten.linear.default: (1, _linear),
    aten.addcmul.default: (2, _affine),
}
"""By operation: where its weights stand, and how they take in the scale of its input."""

_Pass = Callable[[Operation, Any, Mapping[str, tuple[int, ...]]], Any]


def _rearranged(op: Operation, scale: Any, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """Operations that only move values: the scale moves the same way."""
    source = op.inputs[0]
    full = scale if isinstance(scale, list) else scale.expand(1, *shapes[source]).contiguous()
    moved = call(op, {source: full}, {}, batch=1)
    return list(moved) if isinstance(moved, (list, tuple)) else _compressed(moved)


def _pooled(op: Operation, scale: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> Tensor | None:
    """Operations within a channel's plane: the scale must be constant along the plane."""
    dimensions = int(next(c for c in op.operator if c.isdigit()))  # max_pool1d may read [B, L]
    return scale if all(n == 1 for n in scale.shape[-dimensions:]) else None


def _averaged(op: Operation, scale: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> Tensor | None:
    dims = [d % scale.ndim for d in argument(op, 1, "dim")]
    if any(scale.shape[d] != 1 for d in dims):
        return None
    return scale.amax(dims, keepdim=argument(op, 2, "keepdim", False))


def _padded(op: Operation, scale: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> Tensor | None:
    """Zeros have any scale; those beside scaled channels get 1."""
    if op.target is aten.pad.default:
        plain = argument(op, 2, "mode", "constant") == "constant"
        value = argument(op, 3, "value")
    else:
        plain, value = True, argument(op, 2, "value", 0)
    if not plain or value not in (None, 0):
        return None
    pads = list(argument(op, 1, "pad"))
    for i in range(len(pads)):
        if scale.shape[-1 - i // 2] == 1:
            pads[i] = 0
    return F.pad(scale, pads, value=1.0)


_PASSING: dict[Any, _Pass] = {
    **dict.fromkeys(REARRANGING, _rearranged),
    **dict.fromkeys(MAX_POOLS + PLANE_MEANS, _pooled),
    aten.mean.dim: _averaged,
    aten.sum.dim_IntList: _averaged,
    aten.constant_pad_nd.default: _padded,
    aten.pad.default: _padded,
}
"""Operations that a scale passes through, and what becomes of it; None where it cannot pass."""


def _compressed(scale: Tensor) -> Tensor:
    """The scale with every dimension along which it is constant cut to size 1."""
    for dim in range(1, scale.ndim):
        first = scale.narrow(dim, 0, 1)
        if scale.shape[dim] > 1 and bool((scale == first).all()):
            scale = first
    return scale.contiguous()
