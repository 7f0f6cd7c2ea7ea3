"""Functions of one signal that a model writes out become one unit each.

`x * torch.sigmoid(x)` is a SiLU and `x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)` an
RMS norm, whatever they are called. A product both of whose factors are functions of one signal,
value by value or through means, sums and maxima within a sample, is one unit of that signal: the
nearest one through which both factors come. Sums alone fuse nothing, so a residual stream is not
sent again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from spikewright.graph.ir import BATCH, ROOT, Graph, Kind, Operation, Site, Stored, Value, mapped
from spikewright.graph.primitives import AFFINE, CONVERSION, EXPAND, PRODUCT
from spikewright.graph.rule import rule_of

_LIBRARY = torch.library.Library("spikewright", "FRAGMENT")
_LIBRARY.define("fused(Tensor x, Tensor[] constants) -> Tensor")
FUSED = torch.ops.spikewright.fused.default
"""The target of a unit that `Operation.body` computes; it is never called itself."""

aten = torch.ops.aten
_ALONG = {
    aten.mean.dim,
    aten.sum.dim_IntList,
    aten.expand.default,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
}
_POINTWISE = {
    PRODUCT,
    AFFINE,
    CONVERSION,
    aten.mul.Scalar,
    aten.div.Tensor,
    aten.div.Scalar,
    aten.add.Tensor,
    aten.add.Scalar,
    aten.sub.Tensor,
    aten.sub.Scalar,
    aten.rsub.Scalar,
    aten.neg.default,
    aten.clone.default,
    aten.alias.default,
    aten.where.self,
    aten.masked_fill.Scalar,
    aten.masked_fill.Tensor,
}


def fusable(op: Operation) -> bool:
    """Whether an operation may be part of a unit's body."""
    if op.target in (FUSED, torch.ops.aten._native_batch_norm_legit_no_training.default):
        return False
    rule = rule_of(op)
    extremes = op.kind is Kind.MAX and "pool" not in op.function
    known = extremes or rule.kind is Kind.UNIT or rule.within_units
    return known or op.target in _ALONG | _POINTWISE


def _by_value(op: Operation) -> bool:
    """Whether an operation is a function of single values, or a constant."""
    alone = op.site is not None and op.site.group == 1
    return alone or op.kind is Kind.CONSTANT


def members_of(shape: Sequence[int], body: Iterable[Operation]) -> int:
    """How many values of a signal of a shape each value of a body is a function of."""
    groups = [op.site.group for op in body if op.site is not None]
    reduced = [
        math.prod(shape) // max(1, math.prod(op.shape))
        for op in body
        if op.kind is not Kind.CONSTANT
    ]
    return max(1, *groups, *reduced)


def with_fused_units(graph: Graph, *, groups: bool = True) -> Graph:
    """The same network, with one unit for every product of two functions of one signal.

    Args:
        graph: as it was read, without relays.
        groups: whether a unit may be a function of a whole group of values.
    """
    if all(op.kind is not Kind.PRODUCT for op in graph.operations):
        return graph
    return _Fusing(graph, groups).fused()


@dataclass(frozen=True)
class _Part:
    """What becomes one unit: its root, and the operations between, the last one its value."""

    root: str
    operations: tuple[Operation, ...]


class _Fusing:
    """One pass over a graph; one use."""

    def __init__(self, graph: Graph, groups: bool) -> None:
        self._graph = graph
        self._groups = groups
        self._makers = {op.name: op for op in graph.operations}
        self._order = {op.name: at for at, op in enumerate(graph.operations)}
        self._readers = graph.consumers()
        self._fixed = graph.fixed

    def fused(self) -> Graph:
        parts: dict[str, _Part] = {}
        for op in self._graph.operations:
            starts = op.kind is Kind.PRODUCT and not rule_of(op).within_units
            part = self._part(op) if starts else None
            if part is not None:
                parts[part.operations[-1].name] = part
        needed, operations = set(self._graph.outputs), list[Operation]()
        for op in reversed(self._graph.operations):
            if op.name not in needed:
                continue
            for part in self._unit(parts[op.name]) if op.name in parts else (op,):
                needed.update(part.inputs)
                operations.append(part)
        return replace(self._graph, operations=_with_names(operations[::-1])).pruned()

    def _part(self, product: Operation) -> _Part | None:
        """A product and what leads to it from one signal, or None where there is no such signal."""
        inside = [product]
        frontier = self._signals(product)
        while len(frontier) > 1 or self._is_no_signal(frontier):
            latest = max(frontier, key=lambda name: self._order.get(name, -1))
            maker = self._makers.get(latest)
            if maker is None or not fusable(maker):
                return None
            inside.append(maker)
            frontier = (frontier - {latest}) | self._signals(maker)
        if not frontier or not fusable(product):
            return None
        (root,) = frontier
        if not self._fits(root, product.shape, inside):
            return None
        end = product
        while (after := self._only_reader(end)) is not None:
            inside.append(after)
            end = after
        if not self._groups and members_of(self._graph.shapes[root], inside) > 1:
            return None
        inside.extend(self._constants(inside))
        return _Part(root, tuple(sorted(inside, key=lambda op: self._order[op.name])))

    def _fits(self, root: str, shape: Sequence[int], inside: Sequence[Operation]) -> bool:
        """Whether a root has a unit's shape, or can be repeated to it: value by value alone."""
        own = self._graph.shapes.get(root, ())
        if own == shape or len(own) != len(shape):
            return own == shape
        repeated = all(n in (1, m) for n, m in zip(own, shape, strict=True))
        return repeated and all(
            rule_of(op).within_units or op.target in _POINTWISE or _by_value(op) for op in inside
        )

    def _signals(self, op: Operation) -> set[str]:
        return {name for name in op.inputs if name not in self._fixed}

    def _is_no_signal(self, frontier: set[str]) -> bool:
        """Whether the one value of a frontier may stand within units alone."""
        makers = (self._makers.get(name) for name in frontier)
        return any(maker is not None and rule_of(maker).within_units for maker in makers)

    def _only_reader(self, op: Operation) -> Operation | None:
        """The one operation that reads a value, if it takes it with constants, value by value."""
        readers = self._readers[op.name]
        if len(readers) != 1 or op.name in self._graph.outputs:
            return None
        (reader,) = readers
        alone = self._signals(reader) == {op.name} and reader.kind is Kind.LINEAR
        return (
            reader if alone and reader.target in _POINTWISE and reader.shape == op.shape else None
        )

    def _constants(self, inside: Sequence[Operation]) -> list[Operation]:
        """The operations that make the constants which others read."""
        found: dict[str, Operation] = {}
        waiting = [name for op in inside for name in op.inputs if name in self._fixed]
        while waiting:
            op = self._makers[waiting.pop()]
            found[op.name] = op
            waiting += [name for name in op.inputs if name not in found]
        return list(found.values())

    def _unit(self, part: _Part) -> list[Operation]:
        """The unit, and before it in time, so behind it here, what repeats a smaller root."""
        end = part.operations[-1]
        names = {op.name: f"{end.name}/{op.name}" for op in part.operations}
        names[part.root] = ROOT
        body = tuple(replace(op.rewired(names), name=names[op.name]) for op in part.operations)
        stored = list(dict.fromkeys(name for op in body for name in op.stored))
        site = Site(_called(part), group=members_of(end.shape, body))
        root, wider = part.root, list[Operation]()
        if self._graph.shapes[root] != end.shape:
            args = (Value(root), [BATCH, *end.shape])
            wide = replace(end, name=f"{end.name}/wide", target=EXPAND, args=args, kwargs={})
            wider.append(replace(wide, kind=Kind.LINEAR, site=None))
            root = wide.name
        args = (Value(root), [Stored(name) for name in stored])
        fused = replace(end, target=FUSED, args=args, kwargs={}, kind=Kind.UNIT, site=site)
        return [replace(fused, body=body), *wider]


def _called(part: _Part) -> str:
    """The module that a unit was written in, if it holds nothing else; else a name within it."""
    module = part.operations[-1].module
    sites = {op.site.name.partition(":")[0] for op in part.operations if op.site is not None}
    return module if module and module in sites else f"{module}.fused".removeprefix(".")


def _with_names(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Operations whose sites all have names of their own; fused units give way."""
    taken = {op.site.name for op in operations if op.site and not op.body}
    named: list[Operation] = []
    for op in operations:
        if op.site is not None and op.body:
            name, number = op.site.name, 1
            while name in taken:
                number += 1
                name = f"{op.site.name}:{number}"
            taken.add(name)
            op = replace(op, site=replace(op.site, name=name))
        named.append(op)
    return tuple(named)


def mapped_body(op: Operation, change: Any) -> tuple[Operation, ...]:
    """The body of a unit with every leaf of its arguments changed."""
    return tuple(
        replace(inner, args=mapped(inner.args, change), kwargs=mapped(inner.kwargs, change))
        for inner in op.body
    )
