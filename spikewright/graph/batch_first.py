"""A model's calls rewritten for values that have the batch first.

The numbers of a value lie in the same order in the model and in the graph but for the batch. So a
model's views become reshapes of a sample, its permutations permutations of a sample, and most other
calls change their dimension numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from spikewright.graph.batch_norm import BATCH_NORM
from spikewright.graph.batch_planes import (
    as_linear,
    beside_channels,
    convolved,
    convolved_beside_channels,
    normalised,
    of_planes,
    padded,
)
from spikewright.graph.batch_rows import (
    contracted,
    multiplied_rows,
    of_rows,
    repeated_batch,
    repeats_batch,
)
from spikewright.graph.calls import (
    ALIGNED,
    BATCHED,
    BY_CHANNEL,
    BY_DIMENSION,
    CHANNELWISE,
    NORMS,
    PERMUTATIONS,
    PLANES,
    RECURRENT,
    SINGLE,
    TRAILING,
    VIEWS,
)
from spikewright.graph.ir import BATCH, Kind, Operation, Stored, Value, walk
from spikewright.graph.layouts import BatchMoved, Layout, Symbols, found, require_alike
from spikewright.graph.primitives import RESHAPE, SQUEEZE

aten = torch.ops.aten


def carried(
    op: Operation, shape: Sequence[Any], inputs: Sequence[Layout], batch: Symbols
) -> Layout | None:
    """The layout of a call's value from its symbolic shape and the layouts that it reads.

    None where no dimension is the batch, or several are.
    """
    here = found(shape, batch)
    if here is None or not inputs:
        return None
    sizes, dim = here
    factor = sizes[dim]
    source = inputs[0]
    if op.target in VIEWS:
        ahead = math.prod(sizes[:dim])
        total = math.prod(source.sizes[: source.dim]) * source.before
        if not ahead or total % ahead or factor % (total // ahead):
            return None
        return Layout(sizes, dim, total // ahead, factor // (total // ahead))
    if op.target is aten.repeat.default:
        return Layout(sizes, dim, factor // source.after, source.after)
    if op.target is aten.repeat_interleave.self_int:
        return Layout(sizes, dim, source.before, factor // source.before)
    if op.target in (aten.cat.default, aten.stack.default) and factor > math.prod(source.merged):
        return Layout(sizes, dim, factor // source.after, source.after)
    for other in inputs:
        if other.before * other.after == factor:
            return Layout(sizes, dim, other.before, other.after)
    return None


def rewritten(
    op: Operation,
    layouts: Mapping[str, Layout],
    result: Layout | None,
    kind: Kind,
    tensors: dict[str, torch.Tensor],
) -> tuple[Operation, ...]:
    """A call of the model as operations on values `[B, *S]`; the last one has its name.

    Args:
        op: the call, its arguments those of the model; tensors of one sample are `[1, *S]` already.
        layouts: of the values that it reads, by name.
        result: the layout of its value; None where it gives several.
        kind: what the call is to a spiking network.
        tensors: the stored tensors; those that the new operations need are added.

    Raises:
        BatchMoved: where it cannot be rewritten.
    """
    read = [layouts[leaf.name] for leaf in walk((op.args, op.kwargs)) if isinstance(leaf, Value)]
    target: Any = op.target
    if target in VIEWS and result is not None:
        return (_reshaped(op, op.name, op.args[0], result),)
    if target in RECURRENT:
        return (_over_time(op, layouts),)
    if target is aten.grid_sampler_2d.default and len(read) == 2:
        require_alike(read)
        return (op,)
    if target is aten.gather.default:
        if not isinstance(op.args[0], Value):
            raise BatchMoved("it gathers from a constant; write table[indices]")
        require_alike(read)
    if target in PERMUTATIONS:
        return (_permuted(op, read[0]),)
    if target is aten.repeat_interleave.self_int and repeats_batch(op, read[0]):
        return repeated_batch(op, read[0], result)
    if target in BY_DIMENSION:
        return (_along(op, read[0], result),)
    if target is aten.expand.default and result is not None:
        return _expanded(op, read[0], result)
    if target in PLANES:
        return convolved(op, read[0], result, tensors)
    if target is aten.addmm.default and all(isinstance(op.args[at], Stored) for at in (0, 2)):
        op = as_linear(op, tensors)
        target = op.target
    if target in CHANNELWISE and result is not None:
        return beside_channels(replace(op, kind=kind), read[0], result)
    if target is aten.conv3d.default and result is not None:
        return convolved_beside_channels(op, read[0], result, tensors)
    if of_rows(op, read[0]) and result is not None:
        return multiplied_rows(op, read[0], result)
    if target is aten.einsum.default:
        return (contracted(op, layouts),)
    if target is BATCH_NORM:
        return (normalised(op, read[0], tensors),)
    if target is aten.instance_norm.default and op.args[1:3] == (None, None):
        return (of_planes(op, read[0]),)
    if target is aten.stack.default:
        return (_stacked(op, read[0], result),)
    if target in (aten.constant_pad_nd.default, aten.pad.default):
        return padded(op, read[0], result)
    if target is aten.index.Tensor:
        return (_indexed(op, read[0]),)
    if target in TRAILING:
        width = len(op.args[1]) if target in NORMS else TRAILING[target]
        if any(len(source.sizes) - source.dim <= width for source in read):
            raise BatchMoved("the batch is among the dimensions that it works on")
    elif not (target in ALIGNED or target in SINGLE or _pointwise(op, kind)):
        raise BatchMoved(
            f"the batch is not the first dimension of its input, which has shape "
            f"{_shown(read[0])} in the model; bring it there before this call"
        )
    if len(read) == 1 or result is None:
        return (_renamed(op),)
    return _broadcast(op, layouts, result)


def _pointwise(op: Operation, kind: Kind) -> bool:
    """Whether a call is a function of one signal, value by value."""
    return kind is Kind.UNIT and len(op.inputs) == 1 and op.target not in BY_CHANNEL


def _shown(layout: Layout) -> str:
    sizes = list(map(str, layout.sizes))
    factors = [str(n) for n in (layout.before,) if n > 1] + ["B"]
    sizes[layout.dim] = " * ".join(factors + [str(n) for n in (layout.after,) if n > 1])
    return f"[{', '.join(sizes)}]"


def _renamed(op: Operation) -> Operation:
    """A product of three-dimensional batches is one of any dimensions."""
    return replace(op, target=aten.matmul.default) if op.target in BATCHED else op


def _reshaped(op: Operation, name: str, source: Any, result: Layout) -> Operation:
    args = (source, [BATCH, *result.sample])
    return replace(op, name=name, target=RESHAPE, args=args, kwargs={})


def order_of(op: Operation, ndim: int) -> list[int]:
    """The dimensions of a permutation's input in the order of its value."""
    order = list(range(ndim))
    if op.target is aten.permute.default:
        return [dim % ndim for dim in op.args[1]]
    if op.target is aten.movedim.int:
        moved = order.pop(op.args[1] % ndim)
        order.insert(op.args[2] % ndim, moved)
        return order
    first, second = (0, 1) if op.target is aten.t.default else (d % ndim for d in op.args[1:3])
    order[first], order[second] = order[second], order[first]
    return order


def _permuted(op: Operation, source: Layout) -> Operation:
    order = order_of(op, len(source.sizes))
    dims = [0, *(place for dim in order for place in source.places(dim))]
    if dims == list(range(len(dims))):
        return replace(op, target=aten.alias.default, args=op.args[:1], kwargs={})
    return replace(op, target=aten.permute.default, args=(op.args[0], dims), kwargs={})


def _with_argument(op: Operation, position: int, name: str, value: Any) -> Operation:
    if position < len(op.args):
        return replace(op, args=(*op.args[:position], value, *op.args[position + 1 :]))
    return replace(op, kwargs={**op.kwargs, name: value})


def _along(op: Operation, source: Layout, result: Layout | None) -> Operation:
    """A call that names dimensions, with those of `[B, *S]`."""
    position, name, default = BY_DIMENSION[op.target]
    dims = op.argument(position, name, default)
    if dims is None or dims == []:
        raise BatchMoved("it works across the batch dimension, which mixes samples")
    batch = [d for d in walk(dims) if d % len(source.sizes) == source.dim]
    if batch and op.target is aten.cat.default and result is not None:
        return _side_by_side(op, source, result)
    if batch and op.target is aten.slice.Tensor and _whole(op):
        return replace(op, target=aten.alias.default, args=op.args[:1], kwargs={})
    listed = isinstance(dims, (list, tuple))
    places = [source.place(d) for d in dims] if listed else source.place(dims)
    return _with_argument(op, position, name, places)


def _whole(op: Operation) -> bool:
    start, end = op.argument(2, "start"), op.argument(3, "end")
    everything = end is None or (isinstance(end, int) and end >= 2**31)
    return start in (None, 0) and everything and op.argument(4, "step", 1) == 1


def _side_by_side(op: Operation, source: Layout, result: Layout) -> Operation:
    """Batches joined to a larger one: of every sample, the values side by side."""
    if source.before != 1 or len(op.args[0]) != result.before:
        raise BatchMoved("it joins batches that are merged with other dimensions already")
    args = (list(op.args[0]), 1 + result.dim)
    return replace(op, target=aten.stack.default, args=args, kwargs={})


def _stacked(op: Operation, source: Layout, result: Layout | None) -> Operation:
    dim = op.argument(1, "dim", 0) % (len(source.sizes) + 1)
    if result is None or result.dim == dim:
        raise BatchMoved("it stands beside the batch dimension in a way that mixes samples")
    return _with_argument(op, 1, "dim", result.place(dim))


def _expanded(op: Operation, source: Layout, result: Layout) -> tuple[Operation, ...]:
    """A value repeated along dimensions of size 1, new ones in front among them."""
    aligned = source.aligned(len(result.sizes))
    before: tuple[Operation, ...] = ()
    value = op.args[0]
    if aligned.sample != source.sample:
        before = (_reshaped(op, f"{op.name}_aligned", value, aligned),)
        before = (replace(before[0], shape=aligned.sample),)
        value = Value(before[0].name)
    args = (value, [BATCH, *result.sample])
    return (*before, replace(op, args=args, kwargs={}))


def _over_time(op: Operation, layouts: Mapping[str, Layout]) -> Operation:
    """A recurrent layer on `[B, ..., L, F]`, its states `[B, layers, ..., H]`."""
    source = layouts[op.args[0].name]
    batch_first = bool(op.args[-1])
    if source.dim != (0 if batch_first else 1):
        raise BatchMoved(
            "the batch is its time, which mixes samples: the layer takes "
            + ("[B, L, F]" if batch_first else "[L, B, F] unless it is made with batch_first=True")
        )
    if source.merged and not batch_first:
        raise BatchMoved("the batch is merged with other dimensions behind its time")
    return replace(op, args=(*op.args[:-1], True))


def _indexed(op: Operation, source: Layout) -> Operation:
    indices = list(op.args[1])
    if not isinstance(op.args[0], Value):
        if len(indices) == 1:  # rows of a table
            return op
        raise BatchMoved("it indexes a table where the batch is not the first of its indices")
    placed: list[Any] = [None] * (1 + len(source.sample))
    for dim, index in enumerate(indices):
        if index is not None:
            placed[source.place(dim)] = index
    first = next(at for at, index in enumerate(placed) if index is not None)
    if indices_apart(placed) or (indices_apart(indices) and first != 1):
        raise BatchMoved("its indices are no neighbours, which puts their places first")
    return replace(op, args=(op.args[0], placed), kwargs={})


def indices_apart(indices: Sequence[Any]) -> bool:
    """Whether indices are no neighbours: their places come first, before all dimensions."""
    places = [at for at, index in enumerate(indices) if index is not None]
    return places[-1] - places[0] >= len(places)


def _broadcast(
    op: Operation, layouts: Mapping[str, Layout], result: Layout
) -> tuple[Operation, ...]:
    """A call of several values, each with as many dimensions as the result."""
    before: list[Operation] = []
    names: dict[str, str] = {}
    for name in op.inputs:
        aligned = layouts[name].aligned(len(result.sizes))
        if (aligned.dim, aligned.before, aligned.after) != (
            result.dim,
            result.before,
            result.after,
        ):
            raise BatchMoved("the batch stands at different places in the values that it joins")
        if aligned.sample != layouts[name].sample:
            extra = _reshaped(op, f"{op.name}_{name}_aligned", Value(name), aligned)
            before.append(replace(extra, shape=aligned.sample, kind=Kind.LINEAR))
            names[name] = extra.name
    return (*before, _renamed(op.rewired(names)))


def one_place(op: Operation, sample: Sequence[int]) -> tuple[Operation, ...]:
    """`x[arange(B), places]` of `[B, N, *S]` and one place a sample, counted from either end."""
    size, *rest = sample
    source, (_, place) = op.args

    def made(name: str, target: Any, shape: Sequence[int], *args: Any) -> Operation:
        values = replace(op, name=f"{op.name}.{name}", target=target, args=args, kwargs={})
        return replace(values, shape=tuple(shape), kind=Kind.CONSTANT)

    counted = made("counted", aten.remainder.Scalar, (), place, size)
    ones = [1] * len(rest)
    column = made("column", RESHAPE, (1, *ones), Value(counted.name), [BATCH, 1, *ones])
    wide = made("wide", aten.expand.default, (1, *rest), Value(column.name), [BATCH, 1, *rest])
    found = replace(
        op,
        name=f"{op.name}.found",
        target=aten.gather.default,
        args=(source, 1, Value(wide.name)),
        kwargs={},
        shape=(1, *rest),
        kind=Kind.LINEAR,
    )
    return counted, column, wide, found, replace(op, target=SQUEEZE, args=(Value(found.name), 1))
