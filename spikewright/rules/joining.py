"""Several values joined to one, and one cut into several."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.nodes import Refusal
from spikewright.graph.routes import Moved, moved_by
from spikewright.graph.rule import Rule, register
from spikewright.rules._arguments import keeps_batch
from spikewright.rules._scales import compressed
from spikewright.rules.rearranging import Rearranging

aten = torch.ops.aten


class Concatenation(Rule):
    """Values one after the other along a dimension."""

    targets = (aten.cat.default,)
    kind = Kind.LINEAR

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim", 0), ndim)

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Tensor:
        dim = op.argument(1, "dim", 0) % (len(op.shape) + 1)
        known = next(iter(scales.values()))
        parts: list[Tensor] = []
        for part in op.args[0]:
            scale = scales.get(part.name, known.new_ones([1] * known.ndim))
            sizes = list(scale.shape)
            sizes[dim] = graph.shapes[part.name][dim - 1]
            parts.append(scale.expand(sizes))
        full = [max(p.shape[d] for p in parts) for d in range(known.ndim)]
        parts = [p.expand(*full[:dim], p.shape[dim], *full[dim + 1 :]) for p in parts]
        return compressed(torch.cat(parts, dim))

    def route(self, op: Operation, graph: Graph) -> Moved:
        return moved_by(op, graph)

    def words(self, op: Operation, graph: Graph) -> str:
        return "concat"

    def nir(self, op: Operation, graph: Graph) -> Refusal:
        return Refusal("NIR's nodes sum what reaches them and never join it", "add branches")


class Stack(Rule):
    """Values side by side along a new dimension."""

    targets = (aten.stack.default,)
    kind = Kind.LINEAR

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim", 0), ndim + 1)

    def route(self, op: Operation, graph: Graph) -> Moved:
        return moved_by(op, graph)

    def words(self, op: Operation, graph: Graph) -> str:
        return "concat"

    def nir(self, op: Operation, graph: Graph) -> Refusal:
        return Refusal("NIR's nodes sum what reaches them and never join it", "add branches")


class Split(Rearranging):
    """A value cut along a dimension."""

    targets = (aten.split.Tensor, aten.split_with_sizes.default)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(2, "dim", 0), ndim)

    def parts(self, op: Operation, largest: int) -> int:
        sizes = op.argument(1, "split_size")
        return math.ceil(largest / sizes) if op.target is aten.split.Tensor else len(sizes)


class Unbinding(Rule):
    """A value cut into its places along a dimension, which goes."""

    targets = (aten.unbind.int,)
    kind = Kind.LINEAR

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim", 0), ndim)

    def parts(self, op: Operation, largest: int) -> int:
        return largest

    def route(self, op: Operation, graph: Graph) -> Moved:
        return moved_by(op, graph)


class Part(Rearranging):
    """One of several values."""

    targets = (operator.getitem,)


register(Concatenation(), Stack(), Split(), Unbinding(), Part())
