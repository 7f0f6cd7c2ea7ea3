"""Operations that move the values of one input, or keep some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.utils._pytree import tree_map

from spikewright.graph.evaluate import call
from spikewright.graph.ir import BATCH, Graph, Kind, Operation, Value
from spikewright.graph.nodes import Node, Refusal, convolution, flatten, identity
from spikewright.graph.primitives import CONVERSION
from spikewright.graph.routes import Moved, moved_by
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import OUTSIDE, WIDE, keeps_batch
from spikewright.rules._scales import compressed

aten = torch.ops.aten


class Moving(Rule):
    """Values move; scales are made explicit before."""

    kind = Kind.LINEAR

    def keeps_whole_numbers(self, op: Operation, graph: Graph) -> bool:
        return not any(graph.tensors[name].is_floating_point() for name in op.stored)

    def route(self, op: Operation, graph: Graph) -> Moved:
        return moved_by(op, graph)


class Rearranging(Moving):
    """Values of one input move, and their scales move the same way."""

    targets = (aten.expand.default, aten.unsqueeze.default, aten.pixel_shuffle.default)

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        return moved_scale(op, scales, graph)


def moved_scale(op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any:
    """The scale of values that moved, some of them beside zeros that were filled in.

    Args:
        op: moves the values of one input.
        scales: see `Rule.passed`.
        graph: that it stands in.
    """
    source = op.inputs[0]
    scale = scales[source]
    if not isinstance(scale, list):
        scale = scale.expand(1, *graph.shapes[source]).contiguous()
    moved = call(op, {source: scale}, graph.tensors, batch=1)
    if isinstance(moved, (list, tuple)):
        return list(moved)
    kept = call(op, {source: tree_map(torch.ones_like, scale)}, graph.tensors, batch=1)
    return compressed(moved, free=kept == 0)


class Reshape(Rearranging):
    """The same values in another shape; `view` demands a memory layout, `reshape` takes any."""

    targets = (aten.view.default, aten._unsafe_view.default, aten.reshape.default)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        return replace(op, target=aten.reshape.default)

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        return _reshaped(op, graph)


class Copy(Rearranging):
    """The value itself."""

    targets = (aten.clone.default, aten.alias.default, aten.detach.default)

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...]:
        return ()


class Conversion(Moving):
    """The value in another dtype; between those of 32 and 64 bits it stays in the network's."""

    targets = (CONVERSION,)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if reading.source_dtype is torch.bool and reading.dtype in WIDE:  # what a unit may hold
            numbers = (reading.keep(f"{op.name}.{n}", _number(n, reading)) for n in (1, 0))
            return replace(op, target=aten.where.self, args=(op.args[0], *numbers), kwargs={})
        wide = {reading.dtype, reading.source_dtype} <= WIDE
        return replace(op, target=aten.alias.default, args=op.args[:1], kwargs={}) if wide else op

    def objection(self, op: Operation, ndim: int) -> str | None:
        dtype = op.argument(1, "dtype")
        if dtype is None:
            return None
        if dtype.is_floating_point:
            return (
                f"it converts to {dtype}; keep one floating dtype throughout: call model.float(), "
                "and leave torch.autocast out"
            )
        return (
            f"it converts a signal to {dtype}, which drops its fraction; take the conversion out, "
            "or do it to the network's answer"
        )

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...]:
        return ()


def _number(number: float, reading: Reading) -> torch.Tensor:
    return torch.tensor(number, dtype=reading.dtype)


class Squeeze(Rearranging):
    """Without dimensions of size 1."""

    targets = (aten.squeeze.dim, aten.squeeze.dims, aten.squeeze.default)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        """Without named dimensions it drops all of size 1 but the batch."""
        if op.target is not aten.squeeze.default or not isinstance(op.args[0], Value):
            return op
        shape = reading.shapes.get(op.args[0].name)
        if shape is None:
            return op
        dims = [dim for dim, size in enumerate(shape, 1) if size == 1]
        if not dims:
            return replace(op, target=aten.alias.default)
        return replace(op, target=aten.squeeze.dims, args=(op.args[0], dims), kwargs={})

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim"), ndim)

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        return _reshaped(op, graph)


class Choice(Rearranging):
    """One place of a dimension, the other order of some, or two dimensions changed over."""

    targets = (aten.select.int, aten.flip.default, aten.transpose.int)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, _DIMENSIONS[op.function]), ndim)


class Permutation(Rearranging):
    """All dimensions in another order."""

    targets = (aten.permute.default,)

    def objection(self, op: Operation, ndim: int) -> str | None:
        if op.argument(1, "dims")[0] % ndim != 0:
            return "it moves the batch dimension; keep the batch first: x.permute(0, ...)"
        return None


class IndexSelection(Rearranging):
    """Places of a dimension by stored indices."""

    targets = (aten.index_select.default,)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim"), ndim)


class Slice(Rearranging):
    """Every n-th place of a dimension, between a first and a last."""

    targets = (aten.slice.Tensor,)
    reads_batch_size = True

    def objection(self, op: Operation, ndim: int) -> str | None:
        start, end = op.argument(2, "start"), op.argument(3, "end")
        whole = start in (None, 0) and (end is None or end is BATCH or end >= 2**31)
        whole = whole and op.argument(4, "step", 1) == 1
        if op.argument(1, "dim", 0) % ndim == 0 and not whole:
            return f"it slices the batch dimension, which drops samples; {OUTSIDE}"
        return None

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        """Every n-th row or column from the first on is a 1x1 convolution with that stride."""
        shape = graph.shapes[op.inputs[0]]
        if op.shape == shape:
            return ()
        dim = op.argument(1, "dim", 0) % (len(shape) + 1) - 1
        step = op.argument(4, "step", 1)
        from_first = op.argument(2, "start") in (None, 0)
        if dim < 1 or not from_first or op.shape[dim] != (shape[dim] - 1) // step + 1:
            return Refusal(
                "of slices NIR can say every n-th row or column only",
                "use a convolution with stride",
            )
        stride = [1] * (len(shape) - 1)
        stride[dim - 1] = step
        return convolution(shape, identity(shape, graph.dtype), stride=stride)


_DIMENSIONS = {"select": "dim", "flip": "dims", "transpose": "dim0"}


def _reshaped(op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
    shape = graph.shapes[op.inputs[0]]
    if op.shape == shape:
        return ()
    if len(op.shape) == 1:
        return (flatten(shape),)
    return Refusal(
        f"NIR cannot reshape {list(shape)} to {list(op.shape)}", "flatten to one dimension"
    )


register(
    Moving(),
    Rearranging(),
    Reshape(),
    Copy(),
    Conversion(),
    Squeeze(),
    Choice(),
    Permutation(),
    IndexSelection(),
    Slice(),
)
