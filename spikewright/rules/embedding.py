"""Rows of a stored table, chosen by indices that come with the sample: here signals begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.batch_bags import BAGS, OTHER_BAGS
from spikewright.graph.ir import Graph, Kind, Operation, Stored, reads_data
from spikewright.graph.routes import Begun
from spikewright.graph.rule import Rule, register

aten = torch.ops.aten


class Embedding(Rule):
    """An embedding: linear in its indices written as vectors of one 1."""

    targets = (aten.embedding.default,)
    kind = Kind.LINEAR
    label = "embedding"

    def begins_signal(self, op: Operation, tensors: Mapping[str, Tensor]) -> bool:
        return _floating(op.args[0], tensors)

    def objection(self, op: Operation, ndim: int) -> str | None:
        if reads_data(op.args[1]):
            return "its indices are computed from a signal; spikes are no indices"
        return None

    def route(self, op: Operation, graph: Graph) -> Begun:
        return Begun()

    def words(self, op: Operation, graph: Graph) -> str:
        table = graph.stored(op, 0, "weight")
        return self.label if table is None else "embedding, {} × {}".format(*table.shape)


class Bags(Rule):
    """Rows in bags: those of one size are written out where they are read, others refused."""

    targets = BAGS
    kind = Kind.LINEAR

    def objection(self, op: Operation, ndim: int) -> str | None:
        return OTHER_BAGS


def _floating(leaf: Any, tensors: Mapping[str, Tensor]) -> bool:
    return isinstance(leaf, Stored) and tensors[leaf.name].is_floating_point()


register(Embedding(), Bags())
