"""Which dimensions of a unit's value are its channels: those that the next weights contract.

A threshold is worth its memory where the weights that follow take it in: then spikes stay 0 or 1 on
every edge, and each feature has the range that it needs. A convolution contracts dimension 1, a
linear layer the last one, whatever has been moved, pooled or cut in between. So each dimension is
tried: a label along it is passed on as a scale would be, and counts where weights take it in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from operator import getitem
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.primitives import AFFINE
from spikewright.graph.routes import Moved
from spikewright.graph.rule import rule_of

MOST = 8192
"""Thresholds of a layer at most, where channels are other than dimension 1."""


def with_channels(graph: Graph) -> Graph:
    """The graph with the channels of every site.

    Where weights contract several dimensions (those of an image that was flattened), it is those
    along which the weights before have their rows; where none contract any, it is dimension 1, and
    of a softmax none. Where a maximum chooses among places, they share a threshold. Sites that are
    alike share their statistics: theirs are those of most of them.

    Args:
        graph: without batch norm.
    """
    search = _Search(graph)
    alike: dict[str, list[Operation]] = {}
    for op in graph.neurons:
        assert op.site is not None
        alike.setdefault(op.site.group_name, []).append(op)
    channels = {group: search.channels(members) for group, members in alike.items()}

    def told(op: Operation) -> Operation:
        if op.site is None:
            return op
        return replace(op, site=replace(op.site, channels=channels[op.site.group_name]))

    return replace(graph, operations=tuple(map(told, graph.operations)))


class _Search:
    """What the choices for one graph share."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._readers = graph.consumers()
        self._makers = {op.name: op for op in graph.operations}

    def channels(self, units: Sequence[Operation]) -> tuple[int, ...]:
        """The channels of units alike; none along which a maximum chooses, as it compares counts.

        Units that have none for what they are leave the others none.
        """
        each = Counter(map(self._best, units))
        best = () if () in each else max(each, key=lambda dims: each[dims])
        return tuple(dim for dim in best if not any(self._compared(op, dim) for op in units))

    def _compared(self, op: Operation, dim: int) -> bool:
        """Whether a maximum of the unit's values has no scale left from one along a dimension.

        It may read them as they were moved about.
        """
        waiting: list[tuple[str, Any]] = [(op.name, _along(op.shape, dim))]
        while waiting:
            name, label = waiting.pop()
            for reader in self._readers[name]:
                rule = rule_of(reader)
                passed = rule.passed(reader, {name: label}, self._graph)
                if reader.kind is Kind.MAX and passed is None:
                    return True
                if passed is None:
                    continue
                if reader.target is getitem or isinstance(rule.route(reader, self._graph), Moved):
                    waiting.append((reader.name, passed))
        return False

    def _best(self, op: Operation) -> tuple[int, ...]:
        if self._graph.shapes.get(op.inputs[0]) != op.shape:
            return ()  # thresholds stand along its value, corrections along its input
        if len(op.shape) == 1:
            return (1,)
        taken = {dim: self._taken(op, dim) for dim in range(1, len(op.shape) + 1)}
        most = max(taken.values())
        if most == (0, 0):
            return self._without_weights(op)
        best = tuple(dim for dim, absorbed in taken.items() if absorbed == most)
        if len(best) > 1:
            rows = self._rows_before(op)
            best = tuple(dim for dim in best if dim in rows) or ((1,) if 1 in best else best[-1:])
        return _few(op, best)

    def _without_weights(self, op: Operation) -> tuple[int, ...]:
        """Of a softmax none; in front of products the rows of the weights before, or the last."""
        if "softmax" in op.function:
            return ()
        known = (Kind.LINEAR, Kind.UNIT, Kind.MAX, Kind.CONSTANT)
        seen, waiting = set[str](), [op.name]
        while waiting:
            for reader in self._readers[waiting.pop()]:
                if reader.kind not in known:
                    return _few(op, tuple(sorted(self._rows_before(op))) or (len(op.shape),))
                if reader.kind is not Kind.UNIT and reader.name not in seen:
                    seen.add(reader.name)
                    waiting.append(reader.name)
        return (1,)

    def _taken(self, op: Operation, dim: int) -> tuple[int, int]:
        """How many weights take in a scale along a dimension, and how many behind sums do."""
        label = _along(op.shape, dim)
        found = {True: set[str](), False: set[str]()}
        waiting: list[tuple[str, Any, bool]] = [(op.name, label, True)]
        seen = set[str]()
        while waiting:
            name, scale, whole = waiting.pop()
            for reader in self._readers[name]:
                if reader.name in seen or reader.kind is Kind.UNIT:
                    continue
                if self._absorbs(reader, name, scale):
                    found[whole].add(reader.name)
                    continue
                passed, scaled = self._passed(reader, name, scale)
                if passed is not None:
                    seen.add(reader.name)
                    waiting.append((reader.name, passed, whole and scaled))
        return len(found[True]), len(found[False])

    def _absorbs(self, reader: Operation, name: str, scale: Any) -> bool:
        rule = rule_of(reader)
        if not _contracts(reader) or reader.inputs[0] != name or isinstance(scale, list):
            return False
        weight = self._graph.stored(reader, rule.weight_at or 0, "weight")
        if weight is None:
            return False
        return rule.absorbed(reader, weight.to("meta"), scale.to("meta")) is not None

    def _passed(self, reader: Operation, name: str, scale: Any) -> tuple[Any, bool]:
        """The label behind an operation, None where it is lost, and whether a scale passes too."""
        passed = rule_of(reader).passed(reader, {name: scale}, self._graph)
        if passed is not None:
            return passed, True
        same = isinstance(scale, Tensor) and reader.kind in (Kind.LINEAR, Kind.MAX)
        same = same and len(reader.shape) + 1 == scale.ndim
        fits = same and all(n in (1, m) for n, m in zip(scale.shape[1:], reader.shape, strict=True))
        elementwise = fits and self._graph.shapes.get(name) == reader.shape
        return (scale if elementwise and not _contracts(reader) else None), False

    def _rows_before(self, op: Operation) -> set[int]:
        """The dimensions along which the weights before a unit have their rows."""
        name, path = op.inputs[0], list[Operation]()
        while (maker := self._makers.get(name)) is not None and maker.kind is Kind.LINEAR:
            rule = rule_of(maker)
            if _contracts(maker):
                return self._along_path(_along(maker.shape, rule.bias_dim), maker.name, path)
            path.append(maker)
            name = maker.inputs[0]
        return set()

    def _along_path(self, label: Any, name: str, path: list[Operation]) -> set[int]:
        for op in reversed(path):
            label, _ = self._passed(op, name, label)
            if label is None:
                return set()
            name = op.name
        return {dim for dim, size in enumerate(label.shape) if dim and size > 1}


def _contracts(op: Operation) -> bool:
    """Whether it has weights that take in scales; a product with constants contracts nothing."""
    return rule_of(op).weight_at is not None and op.target is not AFFINE


def _few(op: Operation, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Dimensions, or none where their places are too many."""
    size = math.prod(op.shape[dim - 1] for dim in dims)
    return dims if dims == (1,) or size <= MOST else ()


def _along(shape: tuple[int, ...], dim: int) -> Tensor:
    """A scale that differs along one dimension, broadcastable to `[1, *shape]`."""
    dim %= len(shape) + 1
    size = shape[dim - 1]
    return torch.arange(1.0, size + 1, dtype=torch.float64).reshape(
        1, *(size if at == dim else 1 for at in range(1, len(shape) + 1))
    )
