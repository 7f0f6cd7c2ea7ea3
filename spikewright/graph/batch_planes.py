"""Calls on planes, `[B * n, C, ...]`, rewritten for values that have the batch first.

What the batch is merged with becomes a dimension that a convolution leaves alone, or channels more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from spikewright.graph.batch_norm import affine_of
from spikewright.graph.calls import PLANES
from spikewright.graph.ir import BATCH, Kind, Operation, Stored, Value
from spikewright.graph.layouts import BatchMoved, Layout
from spikewright.graph.primitives import AFFINE, RESHAPE

aten = torch.ops.aten

_MOST_WEIGHTS = 10_000_000
"""Numbers of the weights of a convolution that is repeated for what the batch is merged with."""
_SETTINGS = (("stride", 3, 1), ("padding", 4, 0), ("dilation", 5, 1))
_TRANSPOSED = (("stride", 3, 1), ("padding", 4, 0), ("output_padding", 5, 0), ("dilation", 7, 1))
"""What a convolution is told for every dimension: name, position and default."""
_BY_VALUES = ("reflect", "replicate", "circular")
"""How a plane is padded by its own values."""


def convolved(
    op: Operation,
    source: Layout,
    result: Layout | None,
    tensors: dict[str, torch.Tensor],
) -> tuple[Operation, ...]:
    """A convolution of `[B * n, C, ...]` as one whose kernel has size 1 along n.

    Raises:
        BatchMoved: where there is no such call.
    """
    target, places = PLANES[op.target]
    if source.dim != 0 or len(source.merged) != 1 or result is None:
        raise BatchMoved("the batch is merged with other dimensions, or not the first of its input")
    if not isinstance(op.args[1], Stored):
        raise BatchMoved("its weights are computed, and the batch is not the first of its input")
    first = [0, 2, 1, *range(3, len(source.sizes) + 1)]
    moved = _turned(op, f"{op.name}_moved", op.args[0], first, source.sample)
    wide = tensors[op.args[1].name].unsqueeze(2)
    weight = Stored.made(tensors, f"{op.name}.weight", wide)
    transposed = "transpose" in op.function
    settings = {
        name: _for_each(op.argument(at, name, default), places, default)
        for name, at, default in (_TRANSPOSED if transposed else _SETTINGS)
    }
    groups = op.argument(6, "groups", 1)
    listed = [*settings.values()]
    listed = [*listed[:3], groups, *listed[3:]]
    outcome = result.sample
    made = replace(
        op,
        name=f"{op.name}_convolved",
        target=target,
        args=(Value(moved.name), weight, op.argument(2, "bias"), *listed),
        kwargs={},
        shape=(outcome[1], outcome[0], *outcome[2:]),
    )
    return moved, made, _turned(op, op.name, Value(made.name), first, made.shape)


def beside_channels(op: Operation, source: Layout, result: Layout) -> tuple[Operation, ...]:
    """A call that does the same to every channel, of `[B, n * C, ...]`; it keeps its kind.

    Raises:
        BatchMoved: where the batch is not the first dimension.
    """
    if source.dim != 0:
        raise BatchMoved("the batch is not the first dimension of its input")
    merged = len(source.merged)
    before, after = source.sample, result.sample
    joined = _joined(op, f"{op.name}_joined", op.args[0], before, merged)
    args = (Value(joined.name), *op.args[1:])
    made = replace(op, name=f"{op.name}_made", args=args, shape=_merged(after, merged))
    back = (Value(made.name), [BATCH, *after])
    last = replace(op, target=RESHAPE, args=back, kwargs={}, kind=Kind.LINEAR)
    return joined, made, last


def padded(op: Operation, source: Layout, result: Layout | None) -> tuple[Operation, ...]:
    """Padding counts dimensions from the last one; those before the batch move.

    By its own values, a plane of `[B * n, C, ...]` is padded as one of `[B, n * C, ...]`.

    Raises:
        BatchMoved: where torch does not pad so many dimensions by their own values.
    """
    pads, ndim = list(op.args[1]), len(source.sizes)
    by_values = op.argument(2, "mode") in _BY_VALUES
    if by_values and source.merged and result is not None and len(pads) <= 2 * (ndim - 2):
        return beside_channels(op, source, result)
    by_place = {
        source.place(ndim - 1 - at): pads[2 * at : 2 * at + 2]
        for at in range(len(pads) // 2)
        if any(pads[2 * at : 2 * at + 2])
    }
    last = 1 + len(source.sample) - 1
    listed: list[Any] = []
    for place in range(last, min(by_place, default=last + 1) - 1, -1):
        listed += by_place.get(place, [0, 0])
    if by_values and len(listed) < 2 * (len(source.sample) - 1):
        raise BatchMoved("it pads by values of its input, in which the batch is merged with others")
    return (replace(op, args=(op.args[0], listed, *op.args[2:])),)


def as_linear(op: Operation, tensors: dict[str, torch.Tensor]) -> Operation:
    """`beta * bias + alpha * (x @ weight)` of `[B * n, C]` as a linear layer of `[B, n, C]`."""
    bias, weight = (tensors[op.args[at].name] for at in (0, 2))
    if bias.ndim != 1:
        raise BatchMoved("its bias is not one number a column")
    rows = Stored.made(tensors, f"{op.name}.weight", weight.T * op.kwargs.get("alpha", 1))
    shift = Stored.made(tensors, f"{op.name}.bias", bias * op.kwargs.get("beta", 1))
    args = (op.args[1], rows, shift)
    return replace(op, target=aten.linear.default, args=args, kwargs={})


def convolved_beside_channels(
    op: Operation, source: Layout, result: Layout, tensors: dict[str, torch.Tensor]
) -> tuple[Operation, ...]:
    """A convolution of `[B * n, C, ...]` as one of `[B, n * C, ...]` with n times the groups.

    Raises:
        BatchMoved: where its weights are computed, or would be too many.
    """
    copies = torch.Size(source.merged).numel()
    if source.dim != 0 or not isinstance(op.args[1], Stored):
        raise BatchMoved("the batch is not the first dimension of its input")
    weight = tensors[op.args[1].name]
    if weight.numel() * copies > _MOST_WEIGHTS:
        raise BatchMoved(
            f"the batch is merged with {copies} others, and its weights are too many to repeat"
        )
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    defaults = (None, None, None, 1, 0, 1, 1)
    args: list[Any] = [
        op.argument(at, name, default)
        for at, (name, default) in enumerate(zip(names, defaults, strict=True))
    ]
    for at in (1, 2):
        if isinstance(args[at], Stored):
            tensor = tensors[args[at].name]
            copied = tensor.repeat(copies, *[1] * (tensor.ndim - 1))
            args[at] = Stored.made(tensors, f"{op.name}.{names[at]}", copied)
    args[6] *= copies
    wide = replace(op, args=tuple(args), kwargs={}, kind=Kind.LINEAR)
    return beside_channels(wide, source, result)


def normalised(op: Operation, source: Layout, tensors: dict[str, torch.Tensor]) -> Operation:
    """Batch norm as a product with constants along the channels."""
    places = [1] * (1 + len(source.sample))
    places[source.place(1)] = -1
    dtype = tensors[op.args[3].name].dtype
    scale, shift = (part.to(dtype).reshape(places) for part in affine_of(op, tensors))
    shifted = Stored.made(tensors, f"{op.name}.shift", shift)
    args = (shifted, op.args[0], Stored.made(tensors, f"{op.name}.scale", scale))
    return replace(op, target=AFFINE, args=args, kwargs={})


def of_planes(op: Operation, source: Layout) -> Operation:
    """Instance norm without weights, of `[B * n, C, ...]`, as a layer norm of every plane.

    Raises:
        BatchMoved: where the batch is not the first dimension, or its statistics are stored.
    """
    if source.dim != 0 or not op.argument(5, "use_input_stats"):
        raise BatchMoved("the batch is not the first dimension of its input")
    plane = list(source.sizes[2:])
    args = (op.args[0], plane, None, None, op.argument(7, "eps"))
    return replace(op, target=aten.layer_norm.default, args=args, kwargs={})


def _turned(
    op: Operation, name: str, value: Any, order: list[int], shape: Sequence[int]
) -> Operation:
    turned = tuple(shape[dim - 1] for dim in order[1:])
    target = aten.permute.default
    return replace(op, name=name, target=target, args=(value, order), kwargs={}, shape=turned)


def _merged(shape: Sequence[int], merged: int) -> tuple[int, ...]:
    channels = torch.Size(shape[: merged + 1]).numel()
    return (channels, *shape[merged + 1 :])


def _joined(op: Operation, name: str, value: Any, shape: Sequence[int], merged: int) -> Operation:
    wide = _merged(shape, merged)
    args = (value, [BATCH, *wide])
    made = replace(op, name=name, target=RESHAPE, args=args, kwargs={}, kind=Kind.LINEAR)
    return replace(made, shape=wide)


def _for_each(given: Any, places: int, default: int) -> list[int]:
    """A setting for every dimension, the new one's first."""
    if isinstance(given, str):
        raise BatchMoved("its padding has a name; write it in numbers")
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    return [default, *(listed * places if len(listed) == 1 else listed)]
