"""Values put at stored places of another value, and planes read at stored points."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

import torch

from spikewright.graph.ir import BATCH, Graph, Kind, Operation, Value, reads_data, walk
from spikewright.graph.primitives import HAT, PRODUCT, RESHAPE
from spikewright.graph.routes import Moved, moved_by
from spikewright.graph.rule import Rule, register
from spikewright.rules._arguments import keeps_batch

aten = torch.ops.aten


class ByIndex(Rule):
    """An operation that is linear where its indices, or points, are stored."""

    kind = Kind.LINEAR

    def indices(self, op: Operation) -> Any:
        """The arguments that say where."""
        raise NotImplementedError

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        where = (leaf for leaf in walk(self.indices(op)) if isinstance(leaf, Value))
        return Kind.PRODUCT if any(leaf.name not in constants for leaf in where) else Kind.LINEAR

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        return (
            "its indices depend on the input; keep them in a buffer, or compute what they choose "
            "outside the model"
        )


class Placing(ByIndex):
    """Some places of a value by those of another, or with those of another added."""

    targets = (
        aten.scatter.src,
        aten.scatter.value,
        aten.scatter_add.default,
        aten.index_add.default,
        aten.index_copy.default,
        aten.index_fill.int_Scalar,
    )

    def indices(self, op: Operation) -> Any:
        return op.args[2]

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim"), ndim)

    def route(self, op: Operation, graph: Graph) -> Moved | None:
        added = op.function.endswith("add") or (reads_data(op.args[0]) and reads_data(op.args[3]))
        if added or not isinstance(op.args[3], int | float):
            return None if added else moved_by(op, graph)
        empty = replace(op, args=(*op.args[:3], 0))
        return moved_by(empty, graph, constant=op.args[3])


class PlacingByIndices(ByIndex):
    """`x[:, indices] = values`."""

    targets = (aten.index_put.default,)

    def indices(self, op: Operation) -> Any:
        return op.args[1]

    def objection(self, op: Operation, ndim: int) -> str | None:
        if next(iter(walk(op.args[1]))) is not None:
            return (
                "it writes into places of the batch; leave that dimension whole, as x[:, indices]"
            )
        return None

    def route(self, op: Operation, graph: Graph) -> Moved | None:
        return None if op.argument(3, "accumulate", False) else moved_by(op, graph)


class Sampling(ByIndex):
    """A plane read at points between its places.

    Linear in the plane. Where the points are a signal too, or the batch is merged with others, it
    is written out, of C channels of H lines of W places, as products with the shares of lines and
    places in every point p:

        y[c, p] = sum_h hat(v[p] - h) sum_w hat(u[p] - w) x[c, h, w],  hat(d) = max(0, 1 - |d|)
    """

    targets = (aten.grid_sampler_2d.default, aten.grid_sampler_3d.default)

    def indices(self, op: Operation) -> Any:
        return op.args[1]

    def composite(self, op: Operation, constants: Set[str]) -> bool:
        return self.kind_of(op, constants) is Kind.PRODUCT or _merged(op)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return self.product_objection(op, {}) if _merged(op) else None

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        mode, padding = op.args[2:4]
        if op.target is aten.grid_sampler_3d.default or not isinstance(op.args[0], Value):
            return _POINTS
        if mode != _BILINEAR or padding not in (_ZEROS, _BORDER):
            return (
                "it reads planes, of a merged batch or at points that depend on the input, other "
                "than by linear interpolation with zeros or the border outside; pass "
                "mode='bilinear' and padding_mode='zeros' or 'border'"
            )
        return None

    def write_out(self, op: Operation, page: Any) -> Value:
        x, points = op.args[:2]
        *lead, channels, height, width = page.shape_of(x)
        *_, lines, columns, _ = page.shape_of(points)
        u, v = (_shares(op, points, part, size, page) for part, size in enumerate((width, height)))
        places = lines * columns
        rows = page.call(RESHAPE, x, [BATCH, *lead, channels * height, width])
        across = page.call(aten.matmul.default, rows, page.call(aten.transpose.int, u, -2, -1))
        across = page.call(RESHAPE, across, [BATCH, *lead, channels, height, places])
        down = page.call(aten.unsqueeze.default, page.call(aten.transpose.int, v, -2, -1), -3)
        met = page.call(PRODUCT, across, down)
        summed = page.call(aten.sum.dim_IntList, met, [len(lead) + 2])
        return page.call(RESHAPE, summed, [BATCH, *lead, channels, lines, columns])


_BILINEAR, _ZEROS, _BORDER = 0, 0, 1
"""How it is interpolated, and what lies outside, as the call numbers them."""
_POINTS = (
    "it reads a volume, or a constant, at points that depend on the input; no spiking form is "
    "known: keep the points in a buffer, or convert the part before it"
)


def _merged(op: Operation) -> bool:
    """Whether the batch of a plane was merged with others, which are dimensions of their own."""
    return op.target is aten.grid_sampler_2d.default and len(op.shape) > 3


def _shares(op: Operation, points: Any, part: int, size: int, page: Any) -> Value:
    """What every place along a dimension has in every point, `[B, ..., points, places]`."""
    *lead, lines, columns, _ = page.shape_of(points)
    factor = (size - 1 if op.args[4] else size) / 2
    at = page.call(aten.select.int, points, -1, part)
    batch = BATCH if isinstance(points, Value) else 1
    at = page.call(RESHAPE, at, [batch, *lead, lines * columns, 1])
    at = page.call(aten.add.Scalar, page.call(PRODUCT, at, factor), (size - 1) / 2)
    if op.args[3] == _BORDER:
        at = page.call(aten.clamp.default, at, 0, size - 1)
    places = page.keep(torch.arange(size, dtype=page.dtype).reshape(*[1] * (2 + len(lead)), size))
    return page.call(HAT, page.call(aten.sub.Tensor, at, places))


register(Placing(), PlacingByIndices(), Sampling())
