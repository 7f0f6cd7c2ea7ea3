"""Batch norm folds away: into the convolution before it, or into an exact affine of its own."""

from __future__ import annotations

import operator
from dataclasses import replace

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Operation, Stored, Value
from spikewright.graph.maxima import with_maxima_of_spikes
from spikewright.graph.primitives import AFFINE
from spikewright.graph.rule import rule_of

BATCH_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default
"""Batch norm with running statistics; of its three results the first is the value."""
_HOW = "normed"
"""How the tensors came to be that took a batch norm in."""


def fold_batch_norm(graph: Graph) -> Graph:
    """The same network without batch norm.

    `y = (x - mean) / sqrt(var + eps) * weight + bias` scales the weights of a convolution or linear
    layer that nothing else reads; anywhere else it becomes one multiply-add per value, behind a max
    pool that alone reads it.
    """
    tensors = dict(graph.tensors)
    readers = graph.consumers()
    made_by = {op.name: op for op in graph.operations}
    replaced: dict[str, Operation] = {}
    renamed: dict[str, str] = {}
    for op in graph.operations:
        if op.target is not BATCH_NORM:
            continue
        scale, shift = affine_of(op, tensors)
        before = made_by.get(op.args[0].name)
        if (
            before is not None
            and rule_of(before).takes_batch_norm(before)
            and len(readers[before.name]) == 1
            and before.name not in graph.outputs
        ):
            folded = _into_weights(before, op, scale, shift, tensors)
            replaced[before.name] = folded
            renamed[op.name] = before.name
            made_by[before.name] = folded
        else:
            replaced[op.name] = _as_affine(op, scale, shift, tensors)
            renamed[op.name] = op.name
    operations: list[Operation] = []
    for op in graph.operations:
        if op.target is BATCH_NORM and renamed[op.name] != op.name:
            continue
        if op.target is operator.getitem and op.args[0].name in renamed:
            renamed[op.name] = renamed[op.args[0].name]
            continue
        operations.append(replaced.get(op.name, op).rewired(renamed))
    outputs = tuple(renamed.get(name, name) for name in graph.outputs)
    without = replace(graph, operations=tuple(operations), tensors=tensors, outputs=outputs)
    return with_maxima_of_spikes(without.pruned())


def affine_of(op: Operation, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Scale and shift per channel, computed in float64."""

    def stored(position: int) -> Tensor | None:
        reference = op.args[position]
        return None if reference is None else tensors[reference.name].double()

    weight, bias, mean, variance = (stored(i) for i in (1, 2, 3, 4))
    assert mean is not None
    assert variance is not None
    scale = torch.rsqrt(variance + op.args[6])
    scale = scale if weight is None else scale * weight
    shift = -mean * scale
    return scale, shift if bias is None else shift + bias


def _into_weights(
    before: Operation, norm: Operation, scale: Tensor, shift: Tensor, tensors: dict[str, Tensor]
) -> Operation:
    weight = tensors[before.args[1].name]
    bias_reference = before.argument(2, "bias")
    bias = 0 if bias_reference is None else tensors[bias_reference.name].double()
    rows = scale.reshape(-1, *[1] * (weight.ndim - 1))
    parts = {"weight": weight.double() * rows, "bias": bias * scale + shift}
    taken = (
        Stored.made(tensors, f"{before.name}.{name}", part.to(weight.dtype), _HOW)
        for name, part in parts.items()
    )
    args = (before.args[0], *taken, *before.args[3:])
    kwargs = {k: v for k, v in before.kwargs.items() if k != "bias"}
    return replace(before, args=args, kwargs=kwargs)


def _as_affine(
    op: Operation, scale: Tensor, shift: Tensor, tensors: dict[str, Tensor]
) -> Operation:
    dtype = tensors[op.args[3].name].dtype
    shape = (1, -1, *[1] * (len(op.shape) - 1))
    shifted, scaled = (
        Stored.made(tensors, f"{op.name}.{name}", part.to(dtype).reshape(shape), _HOW)
        for name, part in (("shift", shift), ("scale", scale))
    )
    source: Value = op.args[0]
    args = (shifted, source, scaled)
    return replace(op, target=AFFINE, args=args)
