"""Where a value goes: the connections of an operation, counted without their weights.

A synapse is a weight that is not 0. Fan-outs are exact: at borders, with strides, dilation, groups
and padding, as they come from the operation itself with its weights replaced by ones and zeros.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Operation
from spikewright.graph.evaluate import call
from spikewright.graph.ir import BATCH, Stored, Value, mapped
from spikewright.graph.operations import CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS, argument

aten = torch.ops.aten

WEIGHTED: frozenset[Any] = frozenset(
    (*CONVOLUTIONS, *TRANSPOSED_CONVOLUTIONS, aten.linear.default, aten.matmul.default)
)
"""Operations whose every output is a weighted sum."""


def fan_out(op: Operation, shape: Sequence[int], tensors: Mapping[str, Tensor]) -> Tensor:
    """How many outputs of a weighted operation each input element reaches.

        fan_out[i] = number of outputs o with w[o, i] != 0 = gradient of sum_o ([w != 0] x)[o]

    Args:
        op: one of `WEIGHTED`.
        shape: of its input for one sample, `[*S]`.
        tensors: the stored tensors, by name.

    Returns:
        float64 `[1, *S]`, whole numbers.
    """
    x = torch.zeros(1, *shape, dtype=torch.float64, requires_grad=True)

    def known(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return x
        if isinstance(leaf, Stored):
            return _thinned(op, (tensors[leaf.name].cpu() != 0).double())
        return 1 if leaf is BATCH else leaf

    args = op.args if op.target is aten.matmul.default else _without_bias(op)
    kwargs = {name: value for name, value in op.kwargs.items() if name != "bias"}
    with torch.enable_grad():
        reached: Tensor = op.target(*mapped(args, known), **mapped(kwargs, known)).sum()
        (found,) = torch.autograd.grad(reached, x)
    return found.round()


def _without_bias(op: Operation) -> tuple[Any, ...]:
    return tuple(None if place == 2 else leaf for place, leaf in enumerate(op.args))


def _thinned(op: Operation, present: Tensor) -> Tensor:
    """Weights of 0 and 1 added up over the outputs they lead to: the same sum, at less work."""
    if op.target in CONVOLUTIONS:
        groups = int(argument(op, 6, "groups", 1))
        return present.unflatten(0, (groups, -1)).sum(1)
    if op.target in TRANSPOSED_CONVOLUTIONS:
        return present.sum(1, keepdim=True)
    return present.sum(0, keepdim=True) if op.target is aten.linear.default else present


def biased(op: Operation, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a weighted operation adds a bias that is not all 0."""
    if op.target is aten.matmul.default:
        return False
    bias = argument(op, 2, "bias")
    return isinstance(bias, Stored) and bool((tensors[bias.name] != 0).any())


class PlaneMap:
    """Connections of an operation within a channel's plane, one 0/1 matrix a dimension.

    Pooling and interpolation are products of one map along each dimension, so an element of the
    plane reaches every combination of what its coordinates reach.

    Attributes:
        matrices: `[out, in]` each, float64, for the last dimensions in order.
        uniform: whether all weights are equal, so that they fold into those that follow.
    """

    def __init__(self, matrices: Sequence[Tensor], *, uniform: bool) -> None:
        self.matrices = tuple(matrices)
        self.uniform = uniform

    def __call__(self, events: Tensor) -> Tensor:
        """What arrives at every output, `[1, *out]`, of events `[1, *S]`."""
        first = events.ndim - len(self.matrices)
        for axis, matrix in enumerate(self.matrices, first):
            events = torch.einsum("oi,...i->...o", matrix, events.movedim(axis, -1)).movedim(
                -1, axis
            )
        return events


def mean_map(op: Operation, shape: Sequence[int]) -> PlaneMap:
    """The map of an operation of `PLANE_MEANS`, found by giving it one line at a time."""
    plane = tuple(shape[len(shape) - _dimensions(op) :])
    matrices: list[Tensor] = []
    uniform = True
    for axis, size in enumerate(plane):
        lines = torch.eye(size, dtype=torch.float64)
        lines = lines.reshape(size, 1, *(size if a == axis else 1 for a in range(len(plane))))
        probe = lines.expand(size, 1, *plane).contiguous()
        answer: Tensor = call(op, {op.inputs[0]: probe}, {}, size)
        others = [2 + a for a in range(len(plane)) if a != axis]
        weights = answer.abs().amax([1, *others]).T
        used = weights[weights > 0]
        uniform = uniform and bool(torch.isclose(used, used[:1]).all())
        matrices.append((weights > 0).double())
    return PlaneMap(matrices, uniform=uniform)


def window_map(op: Operation, shape: Sequence[int]) -> PlaneMap:
    """The windows of a max pool: which inputs each output chooses from."""
    dimensions = _dimensions(op)
    plane, out = shape[len(shape) - dimensions :], op.shape[len(op.shape) - dimensions :]
    kernel = _each(argument(op, 1, "kernel_size"), dimensions)
    stride = _each(argument(op, 2, "stride") or kernel, dimensions)
    padding = _each(argument(op, 3, "padding", 0), dimensions)
    dilation = _each(argument(op, 4, "dilation", 1), dimensions)
    matrices: list[Tensor] = []
    for axis in range(dimensions):
        matrix = torch.zeros(out[axis], plane[axis], dtype=torch.float64)
        for o in range(out[axis]):
            start = o * stride[axis] - padding[axis]
            places = (start + k * dilation[axis] for k in range(kernel[axis]))
            matrix[o, [p for p in places if 0 <= p < plane[axis]]] = 1
        matrices.append(matrix)
    return PlaneMap(matrices, uniform=True)


def _dimensions(op: Operation) -> int:
    return int(next(c for c in op.operator if c.isdigit()))


def _each(given: Any, dimensions: int) -> tuple[int, ...]:
    several = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    return several * dimensions if len(several) == 1 else several


def size_of(shape: Sequence[int]) -> int:
    """Elements of one sample."""
    return math.prod(shape)
