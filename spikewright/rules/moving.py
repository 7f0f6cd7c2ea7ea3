"""Operations that move values within a sample: rolls, repeats, windows, blocks and turns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

import torch

from spikewright.graph.batch_first import indices_apart
from spikewright.graph.ir import BATCH, Graph, Kind, Operation, Stored, Value, reads_data, walk
from spikewright.graph.primitives import CONVERSION
from spikewright.graph.routes import Averaged, Moved, moved_by
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import in_its_dtype, keeps_batch, keeps_dtype
from spikewright.rules.rearranging import Conversion, Moving, Rearranging

aten = torch.ops.aten


class WithinDimensions(Rearranging):
    """Values move along dimensions that the call names."""

    targets = (
        aten.roll.default,
        aten.rot90.default,
        aten.repeat_interleave.self_int,
        aten.unfold.default,
        aten.diagonal.default,
    )

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        """Every place once is the value itself."""
        if op.target is aten.repeat_interleave.self_int and op.argument(1, "repeats") == 1:
            return replace(op, target=aten.alias.default, args=op.args[:1], kwargs={})
        return op

    def objection(self, op: Operation, ndim: int) -> str | None:
        position, name, default = _DIMENSIONS[op.function]
        dims: Any = op.argument(position, name, default)
        if op.target is aten.diagonal.default:
            dims = [dims, op.argument(3, "dim2", 1)]
        return keeps_batch(dims, ndim)


_DIMENSIONS: dict[str, tuple[int, str, Any]] = {
    "roll": (2, "dims", None),
    "rot90": (2, "dims", (0, 1)),
    "repeat_interleave": (2, "dim", None),
    "unfold": (1, "dimension", None),
    "diagonal": (2, "dim1", 0),
}
"""Where each call names its dimensions: position, keyword and default."""


class Repetition(Rearranging):
    """Values one after the other, as often as the call says for each dimension."""

    targets = (aten.repeat.default, aten.tile.default)

    def objection(self, op: Operation, ndim: int) -> str | None:
        times = list(op.args[1])
        if len(times) > ndim or (len(times) == ndim and times[0] != 1):
            return "it repeats the batch; write one factor a dimension, 1 for the batch"
        return None


class Blocks(Rearranging):
    """Values of a plane become channels, or channels change places."""

    targets = (aten.pixel_unshuffle.default, aten.channel_shuffle.default, aten.im2col.default)

    def objection(self, op: Operation, ndim: int) -> str | None:
        least = 3 if op.target is aten.channel_shuffle.default else 4
        return (
            None
            if ndim >= least
            else f"of {ndim} dimensions the first is no batch to it; add one by x[:, None]"
        )


class Triangle(Rearranging):
    """The values on one side of a diagonal of the last two dimensions; 0 on the other."""

    targets = (aten.tril.default, aten.triu.default)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return (
            None
            if ndim > 2
            else "the batch is one of the two dimensions of its triangle; add one by x[:, None]"
        )


class Accumulation(Rule):
    """Sums of values of one input: those so far, or those of windows that overlap."""

    targets = (aten.cumsum.default, aten.col2im.default)
    kind = Kind.LINEAR

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        return in_its_dtype(op, reading)

    def objection(self, op: Operation, ndim: int) -> str | None:
        if op.target is aten.cumsum.default:
            return keeps_dtype(op) or keeps_batch(op.argument(1, "dim"), ndim)
        return (
            None
            if ndim == 3
            else "of two dimensions the first is no batch to it; add one by x[:, None]"
        )

    def route(self, op: Operation, graph: Graph) -> Averaged:
        moved = moved_by(op, graph)
        return Averaged(lambda events: moved.move({op.inputs[0]: events}))


class Difference(Rule):
    """Differences of neighbours along a dimension."""

    targets = (aten.diff.default,)
    kind = Kind.LINEAR

    def objection(self, op: Operation, ndim: int) -> str | None:
        if op.argument(1, "n", 1) != 1 or len(op.args) > 3 or op.kwargs.keys() - {"n", "dim"}:
            return (
                "it is a difference of differences, or has values beside it; write it step by "
                "step, as x[:, 1:] - x[:, :-1]"
            )
        return keeps_batch(op.argument(2, "dim", -1), ndim)

    def route(self, op: Operation, graph: Graph) -> Averaged:
        dim = op.argument(2, "dim", -1)

        def arriving(events: torch.Tensor) -> torch.Tensor:
            size = events.shape[dim] - 1
            return events.narrow(dim, 0, size) + events.narrow(dim, 1, size)

        return Averaged(arriving)


class OfAnotherTensor(Rule):
    """The value in the dtype of another tensor, or with the values of another one."""

    targets = (aten.type_as.default, aten.copy.default)
    kind = Kind.LINEAR

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if op.target is aten.type_as.default:
            if reading.dtype is reading.source_dtype:
                return replace(op, target=aten.alias.default, args=op.args[:1])
            keywords = {"dtype": reading.dtype}
            converted = replace(op, target=CONVERSION, args=op.args[:1], kwargs=keywords)
            return Conversion().normal_form(converted, reading)
        size = _size(op.args[0], reading)
        if size is None:
            return op
        return replace(op, target=aten.expand.default, args=(op.args[1], size), kwargs={})

    def objection(self, op: Operation, ndim: int) -> str | None:
        return "it copies into a tensor whose first dimension is no batch; write x.expand(...)"


def _size(leaf: Any, reading: Reading) -> list[Any] | None:
    """The shape of a signal or a constant; None where its first dimension is no batch."""
    if not isinstance(leaf, Value):
        return None
    shape, maker = reading.shapes.get(leaf.name), reading.maker(leaf)
    if shape is None and maker is not None and maker.kind is Kind.CONSTANT:
        shape = maker.shape
    return None if shape is None else [BATCH, *shape]


class Insertion(Moving):
    """Some places of a value by those of another."""

    targets = (aten.slice_scatter.default, aten.select_scatter.default)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        """A slice of everything is the other value."""
        if op.target is aten.slice_scatter.default and _whole(op):
            return replace(op, target=aten.alias.default, args=op.args[1:2], kwargs={})
        return op

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(2, "dim", 0), ndim)


def _whole(op: Operation) -> bool:
    start, end = op.argument(3, "start"), op.argument(4, "end")
    all_of_it = end is None or end is BATCH or (isinstance(end, int) and end >= 2**31)
    return start in (None, 0) and all_of_it and op.argument(5, "step", 1) == 1


class Masking(Rule):
    """Values where a mask is true, others where it is false; linear where the mask is stored."""

    targets = (aten.where.self, aten.masked_fill.Scalar, aten.masked_fill.Tensor)
    kind = Kind.LINEAR

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        mask = op.args[0 if op.target is aten.where.self else 1]
        chosen = isinstance(mask, Value) and mask.name not in constants
        return Kind.PRODUCT if chosen else Kind.LINEAR

    def left_over(self, op: Operation) -> str | None:
        return (
            "its mask depends on another signal than its values do; only constant masks are "
            "linear: multiply by weights between 0 and 1 instead, such as torch.sigmoid(k * x)"
        )

    def objection(self, op: Operation, ndim: int) -> str | None:
        if op.target is aten.masked_fill.Tensor and reads_data(op.args[2]):
            return "what it fills in depends on the input; write torch.where(mask, value, x)"
        return None

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        """Zeros have any scale, so that of the values beside them."""
        masked = self._beside_zeros(op, graph)
        return None if masked is None else scales.get(masked)

    def keeps_whole_numbers(self, op: Operation, graph: Graph) -> bool:
        return self._beside_zeros(op, graph) is not None

    def _beside_zeros(self, op: Operation, graph: Graph) -> str | None:
        """The one value that a mask lets through, in its own shape, or else puts 0; None if not."""
        if op.kind is Kind.PRODUCT:
            return None
        chosen = op.args[1:] if op.target is aten.where.self else (op.args[0], op.args[2])
        values = [leaf for leaf in chosen if isinstance(leaf, Value)]
        others = [
            graph.tensors[leaf.name] if isinstance(leaf, Stored) else leaf
            for leaf in chosen
            if not isinstance(leaf, Value)
        ]
        if len(values) != 1 or any(torch.as_tensor(other).any() for other in others):
            return None
        (value,) = values
        return value.name if graph.shapes.get(value.name) == op.shape else None

    def route(self, op: Operation, graph: Graph) -> Moved | None:
        if op.kind is Kind.PRODUCT:
            return None
        if op.target is aten.where.self:
            return moved_by(op, graph)
        empty = replace(op, target=aten.masked_fill.Scalar, args=(*op.args[:2], 0))
        filled = op.args[2] if isinstance(op.args[2], int | float) else math.nan
        return moved_by(empty, graph, constant=filled)


class Gathering(Rearranging):
    """Places of a sample by stored indices."""

    targets = (aten.index.Tensor, aten._unsafe_index.Tensor, aten.gather.default)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if op.target is not aten.gather.default:
            return replace(op, target=aten.index.Tensor)
        index, source = _stored_index(op.args[2], reading), op.args[0]
        shape = reading.shapes.get(source.name) if isinstance(source, Value) else None
        if index is None or shape is None or index.ndim != len(shape) + 1 or len(index) != 1:
            return op
        dim = op.args[1] % index.ndim
        if dim == 0:
            return op
        places: list[Any] = [None]
        for axis, size in enumerate(index.shape[1:], 1):
            lead = [1] * index.ndim
            lead[axis] = size
            place = index if axis == dim else torch.arange(size, device=index.device).reshape(lead)
            places.append(reading.keep(f"{op.name}.index{axis}", place[0].contiguous()))
        return replace(op, target=aten.index.Tensor, args=(source, places), kwargs={})

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        if len(op.inputs) == 1:
            return super().passed(op, scales, graph)
        scale = scales[op.args[0].name]  # places differ from sample to sample
        gathers = op.target is aten.gather.default and scale.ndim == len(op.shape) + 1
        if not gathers or scale.shape[op.args[1]] != 1:
            return None
        return scale[(slice(None), *map(slice, op.shape))]  # of another dimension, the first ones

    def begins_signal(self, op: Operation, tensors: Mapping[str, torch.Tensor]) -> bool:
        table = op.args[0]
        return isinstance(table, Stored) and tensors[table.name].is_floating_point()

    def objection(self, op: Operation, ndim: int) -> str | None:
        if isinstance(op.args[0], Stored):
            behind = op.target is aten.index.Tensor and op.args[1][0] is None
            return _BEHIND if behind else None
        if reads_data(op.args[1:]):
            return (
                "it gathers by indices that depend on a signal; keep them in a buffer of one "
                "sample's shape, or give them as an input of their own"
            )
        if op.target is aten.gather.default:
            return keeps_batch(op.args[1], ndim)
        if next(iter(walk(op.args[1]))) is not None:
            return "it indexes the batch, which drops or mixes samples; write x[:, indices]"
        return _APART if indices_apart(op.args[1]) else None


_BEHIND = (
    "it indexes a table behind its first dimension, so that the batch is not the first of what it "
    "gives; write table.movedim(1, 0)[indices]"
)
_APART = (
    "its indices are no neighbours, so that their places come before the batch; bring the "
    "dimensions that they index side by side before, by x.movedim"
)


def _stored_index(leaf: Any, reading: Reading) -> torch.Tensor | None:
    """A stored index, or the one that a batch of copies repeats, with a first dimension of 1."""
    stored, maker = reading.tensor(leaf), reading.maker(leaf)
    if stored is None and maker is not None and maker.target is aten.expand.default:
        stored = reading.tensor(maker.args[0])
        if stored is not None and stored.ndim <= len(maker.shape) + 1:
            lead = [1] * (len(maker.shape) + 1 - stored.ndim)
            stored = stored.reshape(*lead, *stored.shape)
            stored = stored.expand(1, *maker.shape) if len(stored) == 1 else None
    return stored


register(
    WithinDimensions(),
    Repetition(),
    Blocks(),
    Triangle(),
    Accumulation(),
    Difference(),
    OfAnotherTensor(),
    Insertion(),
    Masking(),
    Gathering(),
)
