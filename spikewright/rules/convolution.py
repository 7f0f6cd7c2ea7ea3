"""Convolutions and transposed convolutions, of any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.matrix import MatrixView
from spikewright.graph.nodes import Node, Refusal, convolution
from spikewright.graph.routes import Weighted, weighted_by
from spikewright.graph.rule import Geometry, Reading, Rule, register
from spikewright.rules._arguments import (
    COMPUTED,
    each,
    only_first_reads_data,
    per_input_channel_only,
    stored_or_none,
)

aten = torch.ops.aten


class Convolution(Rule):
    """Weights `[O, I / groups, *K]`, bias `[O]`."""

    targets = (
        aten.conv1d.default,
        aten.conv2d.default,
        aten.conv3d.default,
        aten.conv1d.padding,
        aten.conv2d.padding,
        aten.conv3d.padding,
    )
    kind = Kind.LINEAR
    weight_at, bias_at = 1, 2
    rounds_to_bf16 = True

    def objection(self, op: Operation, ndim: int) -> str | None:
        return only_first_reads_data(op)

    def takes_batch_norm(self, op: Operation) -> bool:
        return True

    def absorbed(self, op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
        if not per_input_channel_only(scale):
            return None
        groups, per_group = _groups(op), weight.shape[1]
        channels = scale.flatten().expand(groups * per_group).reshape(groups, 1, per_group)
        rows = channels.expand(groups, weight.shape[0] // groups, per_group)
        return weight * rows.reshape(weight.shape[0], per_group, *[1] * (weight.ndim - 2))

    def matrix(self, op: Operation, weight: Tensor) -> MatrixView:
        groups, kernel = _groups(op), tuple(weight.shape[2:])
        stride = each(op.argument(3, "stride", 1), len(kernel))
        dilation = each(op.argument(5, "dilation", 1), len(kernel))
        sides = _both_sides(op.argument(4, "padding", 0), kernel, dilation)

        def read(x: Tensor) -> Tensor:
            return _windows(F.pad(x, sides), kernel, stride, dilation, groups)

        rows = weight.unflatten(0, (groups, -1))
        return MatrixView(
            rows.flatten(2), lambda new: new.reshape(weight.shape), read, weight.ndim - 1
        )

    def geometry(self, op: Operation, graph: Graph) -> Geometry | None:
        if op.target is not aten.conv2d.default or _groups(op) != 1:
            return None
        stride, padding, dilation = (
            each(op.argument(position, name, default), 2)
            for position, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
        )
        return Geometry(_pair(stride), _pair(padding), _pair(dilation))

    def route(self, op: Operation, graph: Graph) -> Weighted:
        def thinned(present: Tensor) -> Tensor:
            return present.unflatten(0, (_groups(op), -1)).sum(1)

        return weighted_by(op, graph, self.bias_at, thinned)

    def words(self, op: Operation, graph: Graph) -> str:
        weight = graph.stored(op, 1, "weight")
        if weight is None:
            return "conv"
        return _words("conv", weight, weight.shape[1] * _groups(op), len(weight), op)

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        weight, shape = graph.stored(op, 1, "weight"), graph.shapes[op.inputs[0]]
        if weight is None or not stored_or_none(op, 2, "bias"):
            return COMPUTED
        places = weight.ndim - 2
        if places > 2 or len(shape) != places + 1:
            return Refusal("NIR has convolutions of 1 and 2 dimensions", "convert a model of those")
        kernel = tuple(weight.shape[2:])
        if len(set(kernel)) > 1:
            return Refusal(
                f"nir infers shapes as if its kernel {kernel} were square, and rejects the file",
                "give the convolution a square kernel",
            )
        stride = each(op.argument(3, "stride", 1), places)
        dilation = each(op.argument(5, "dilation", 1), places)
        padding = _symmetric(op.argument(4, "padding", 0), kernel, dilation)
        if padding is None:
            return Refusal(
                "it pads more on one side than on the other, NIR pads both sides alike",
                "use an odd kernel or padding='valid'",
            )
        one_group = _in_one_group(weight, _groups(op))
        bias = graph.stored(op, 2, "bias")
        return convolution(shape, one_group, bias, stride, padding, dilation)


class TransposedConvolution(Rule):
    """Weights `[I, O / groups, *K]`, bias `[O]`."""

    targets = (
        aten.conv_transpose1d.default,
        aten.conv_transpose2d.input,
        aten.conv_transpose3d.input,
    )
    kind = Kind.LINEAR
    weight_at, bias_at = 1, 2

    def objection(self, op: Operation, ndim: int) -> str | None:
        return only_first_reads_data(op)

    def absorbed(self, op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
        if not per_input_channel_only(scale):
            return None
        return weight * scale.flatten().expand(len(weight)).reshape(-1, *[1] * (weight.ndim - 1))

    def matrix(self, op: Operation, weight: Tensor) -> MatrixView:
        groups, kernel = _groups(op), tuple(weight.shape[2:])
        places, planes = len(kernel), tuple(range(2, weight.ndim))
        stride, padding, more, dilation = (
            each(op.argument(position, name, default), places)
            for position, name, default in (
                (3, "stride", 1),
                (4, "padding", 0),
                (5, "output_padding", 0),
                (7, "dilation", 1),
            )
        )
        reach = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
        sides = [n for low, high in zip(reach, more, strict=True) for n in (low + high, low)][::-1]

        def read(x: Tensor) -> Tensor:
            """Windows of stride 1 over the input with zeros between its values."""
            spread = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], stride, strict=True)]
            wide = x.new_zeros(*x.shape[:2], *spread)
            wide[(..., *(slice(None, None, s) for s in stride))] = x
            return _windows(F.pad(wide, sides), kernel, (1,) * places, dilation, groups)

        turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flip([d + 1 for d in planes])

        def stored(new: Tensor) -> Tensor:
            back = new.reshape(turned.shape).flip([d + 1 for d in planes]).transpose(1, 2)
            return back.reshape(weight.shape)

        return MatrixView(turned.flatten(2), stored, read, weight.ndim - 1)

    def route(self, op: Operation, graph: Graph) -> Weighted:
        return weighted_by(op, graph, self.bias_at, lambda present: present.sum(1, keepdim=True))

    def words(self, op: Operation, graph: Graph) -> str:
        weight = graph.stored(op, 1, "weight")
        if weight is None:
            return "transposed conv"
        groups = _groups(op)
        return _words("transposed conv", weight, len(weight), weight.shape[1] * groups, op)


class GeneralConvolution(Rule):
    """The convolution that core ATen programs write all others as."""

    targets = (aten.convolution.default,)
    kind = Kind.LINEAR

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        x, weight, bias, stride, padding, dilation, transposed, more, groups = op.args
        target = (_TRANSPOSED if transposed else _PLAIN).get(len(stride))
        if target is None:
            return op
        rest = (more, groups, dilation) if transposed else (dilation, groups)
        args = (x, weight, bias, stride, padding, *rest)
        return replace(op, target=target, args=args, kwargs={})

    def objection(self, op: Operation, ndim: int) -> str | None:
        return "it has more than three dimensions; write it as F.unfold and a linear layer"


_PLAIN = {1: aten.conv1d.default, 2: aten.conv2d.default, 3: aten.conv3d.default}
_TRANSPOSED = {
    1: aten.conv_transpose1d.default,
    2: aten.conv_transpose2d.input,
    3: aten.conv_transpose3d.input,
}


def _groups(op: Operation) -> int:
    return int(op.argument(6, "groups", 1))


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _words(name: str, weight: Tensor, taken: int, given: int, op: Operation) -> str:
    groups = _groups(op)
    if groups == taken > 1:
        name = f"depthwise {name}"
    words = f"{name} {'×'.join(map(str, weight.shape[2:]))}, {taken:,} → {given:,}"
    if 1 < groups < taken:
        words += f" in {groups} groups"
    strides = each(op.argument(3, "stride", 1), 1)
    if set(strides) == {1}:
        return words
    return (
        f"{words}, stride {'×'.join(map(str, strides if len(set(strides)) > 1 else strides[:1]))}"
    )


def _both_sides(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Zeros before and after each dimension, the last one first, as `F.pad` takes them."""
    if padding == "valid":
        return [0, 0] * len(kernel)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [n for total in reversed(reach) for n in (total // 2, total - total // 2)]
    return [n for one in reversed(each(padding, len(kernel))) for n in (one, one)]


def _windows(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """The windows that a kernel sees in `[B, C, *S]`, a view `[B, *places, G, C / G, *K]`."""
    for dim, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True), 2):
        x = x.unfold(dim, d * (k - 1) + 1, s)[..., ::d]
    places = len(kernel)
    x = x.unflatten(1, (groups, -1))
    return x.permute(0, *range(3, 3 + places), 1, 2, *range(3 + places, 3 + 2 * places))


def _symmetric(
    padding: Any, kernel: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...] | None:
    """Zeros on both sides of each dimension; None where 'same' needs uneven ones."""
    if padding == "valid":
        return (0,) * len(kernel)
    if padding != "same":
        return each(padding, len(kernel))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return None if any(n % 2 for n in reach) else tuple(n // 2 for n in reach)


def _in_one_group(weight: Tensor, groups: int) -> Tensor:
    """Weights `[O, I / groups, *K]` with the zeros between groups written out, `[O, I, *K]`.

    The type check of nir 1.0.8 takes a grouped convolution to have `I / groups` input channels and
    refuses to read it back.
    """
    rows, per_group = len(weight) // groups, weight.shape[1]
    full = weight.new_zeros(len(weight), per_group * groups, *weight.shape[2:])
    for group in range(groups):
        own = slice(group * rows, (group + 1) * rows)
        full[own, group * per_group : (group + 1) * per_group] = weight[own]
    return full


register(Convolution(), TransposedConvolution(), GeneralConvolution())
