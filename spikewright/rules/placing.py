"""Values put at stored places of another value, and planes read at stored points."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import torch

from spikewright.graph.ir import Graph, Kind, Operation, Value, walk
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
        added = op.function.endswith("add") or len(op.inputs) > 1
        return None if added else moved_by(op, graph)


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
    """A plane read at points between its places."""

    targets = (aten.grid_sampler_2d.default, aten.grid_sampler_3d.default)

    def indices(self, op: Operation) -> Any:
        return op.args[1]

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        return (
            "it reads a plane at points that depend on the input, which is no product of signals; "
            "no spiking form is known: keep the points in a buffer, or convert the part before it"
        )


register(Placing(), PlacingByIndices(), Sampling())
