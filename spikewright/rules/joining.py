"""Several values joined to one, and one cut into several."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Operation
from spikewright.graph.nodes import Refusal
from spikewright.graph.primitives import COPY
from spikewright.graph.rule import Reading, register
from spikewright.rules._arguments import keeps_batch
from spikewright.rules._scales import compressed
from spikewright.rules.rearranging import Moving, Rearranging

aten = torch.ops.aten


_NO_JOIN = Refusal("NIR's nodes sum what reaches them and never join it", "add branches")


class Concatenation(Moving):
    """Values one after the other along a dimension."""

    targets = (aten.cat.default,)
    label, unwritten = "concat", _NO_JOIN

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        """Without what holds nothing, such as the `torch.tensor([])` that a loop begins with."""
        stored = ((part, reading.tensor(part)) for part in op.args[0])
        parts = [part for part, tensor in stored if tensor is None or tensor.shape != (0,)]
        if len(parts) == 1:
            return replace(op, target=COPY, args=(parts[0],), kwargs={})
        return replace(op, args=(parts, *op.args[1:]))

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


class Stack(Moving):
    """Values side by side along a new dimension."""

    targets = (aten.stack.default,)
    label, unwritten = "concat", _NO_JOIN

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim", 0), ndim + 1)


class Split(Rearranging):
    """A value cut along a dimension."""

    targets = (aten.split.Tensor, aten.split_with_sizes.default)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(2, "dim", 0), ndim)

    def parts(self, op: Operation, largest: int) -> int:
        sizes = op.argument(1, "split_size")
        return math.ceil(largest / sizes) if op.target is aten.split.Tensor else len(sizes)


class Unbinding(Moving):
    """A value cut into its places along a dimension, which goes."""

    targets = (aten.unbind.int,)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return keeps_batch(op.argument(1, "dim", 0), ndim)

    def parts(self, op: Operation, largest: int) -> int:
        return largest


class Part(Rearranging):
    """One of several values."""

    targets = (operator.getitem,)
    called = "getitem"


register(Concatenation(), Stack(), Split(), Unbinding(), Part())
