"""Calls that several operations stand for, written out: attention, division by a signal, gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from functools import cached_property
from operator import getitem
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.evaluate import call, on_meta
from spikewright.graph.ir import BATCH, Graph, Kind, Operation, Stored, Value, mapped
from spikewright.graph.primitives import COPY
from spikewright.graph.relays import with_a_channel
from spikewright.graph.rule import kind_of, rule_of

_BATCH = 2
"""The size of the batch that shapes are tried with."""


def written_out(graph: Graph) -> Graph:
    """The same network, in which every call that its rule calls composite is written out."""
    if not any(_composite(op, graph.constants) for op in graph.operations):
        return graph
    page = Page(graph)
    for op in graph.operations:
        page.add(op)
    return replace(graph, operations=tuple(page.operations), tensors=page.tensors).pruned()


def _dtypes_of(graph: Graph) -> dict[str, torch.dtype]:
    """The dtypes of all constants that have one a call."""
    tensors = {name: tensor.to("meta") for name, tensor in graph.tensors.items()}
    values: dict[str, Any] = {
        port.name: port.empty(_BATCH, graph.dtype, "meta") for port in graph.inputs
    }
    for op in graph.operations:
        if op.kind is Kind.CONSTANT:
            values[op.name] = call(on_meta(op), values, tensors, _BATCH)
    return {name: t.dtype for name, t in values.items() if isinstance(t, Tensor)}


def _composite(op: Operation, constants: Set[str]) -> bool:
    return op.kind is not Kind.CONSTANT and rule_of(op).composite(op, constants)


class Page:
    """Where operations are written in place of others.

    Attributes:
        operations: written so far.
        tensors: the stored tensors, by name.
        shapes: of every value for one sample, by name.
    """

    def __init__(self, graph: Graph) -> None:
        self.operations: list[Operation] = []
        self.tensors = dict(graph.tensors)
        self.shapes = dict(graph.shapes)
        self.dtype = graph.dtype
        self._device = graph.like.device
        self._graph = graph
        self._constants = set(graph.constants)
        self._sites = {site.name for site in graph.sites}
        self._instead: Operation | None = None
        self._several: dict[str, tuple[Value, ...]] = {}  # of calls that give several values
        self._known: dict[Any, tuple[tuple[int, ...], torch.dtype]] = {}
        self._turns: Counter[str] = Counter()
        self._alike: dict[str, tuple[int, ...]] = {}  # shapes, by what sites have in common
        self._dtypes = _dtypes_of(graph)

    def add(self, op: Operation) -> None:
        """Write an operation, or what stands for it, whose last one takes its name."""
        if op.target is getitem and op.args[0].name in self._several:
            value = self._several[op.args[0].name][op.args[1]]
            self.operations.append(replace(op, target=COPY, args=(value,)))
            return
        if not _composite(op, self._constants):
            self.operations.append(op)
            return
        self.write(op, rule_of(op).write_out)

    def write(
        self, op: Operation, by: Callable[[Operation, Any], Value | tuple[Value, ...] | None]
    ) -> bool:
        """Write what stands for an operation; `by` writes it and tells its value, or several.

        Returns:
            Whether it did: `by` may tell None.
        """
        self._instead = op
        last = by(op, self)
        if last is None:
            return False
        if isinstance(last, tuple):
            self._several[op.name] = last
            return True
        ours = {last.name: op.name}
        at = next(i for i, each in enumerate(self.operations) if each.name == last.name)
        self.operations[at] = replace(self.operations[at], name=op.name)
        self.operations[at + 1 :] = [o.rewired(ours) for o in self.operations[at + 1 :]]
        return True

    def call(
        self, target: Callable[..., Any], *arguments: Any, site: str = "", alike: str = ""
    ) -> Value:
        """Write a call in place of the composite one, in its module; its value.

        Args:
            target: the function to call.
            arguments: its arguments.
            site: the name of the site that it makes; without one it is called after its module.
            alike: the name of what its site has in common with others, of one shape.
        """
        like = self._instead
        assert like is not None
        name = f"{like.name}.{len(self.operations)}"
        op = Operation(name, target, arguments, module=like.module, source=like.source)
        self.shapes[name], self._dtypes[name] = self._form(op)
        op = replace(op, shape=self.shapes[name])
        rule = rule_of(op)
        kind = kind_of(op, self._constants, self.tensors)
        if kind is Kind.UNIT:
            described = rule.site(op)
            assert not isinstance(described, str), described
            same = self._alike.setdefault(alike, op.shape) == op.shape
            called = replace(
                described, name=site or self._site_name(op), alike=alike if same else ""
            )
            unit = replace(op, kind=Kind.UNIT, site=called)
            self.operations += [unit] if op.shape else with_a_channel(unit)
        else:
            if kind is Kind.CONSTANT:
                self._constants.add(name)
            self.operations.append(replace(op, kind=kind))
        return Value(name)

    def turn(self, section: str) -> int:
        """How often a section was written, this time included."""
        self._turns[section] += 1
        return self._turns[section]

    def section(self, name: str) -> str:
        """A name that the sites of one call begin with: `name`, `name:2`, ..."""
        turn = self.turn(name)
        return name if turn == 1 else f"{name}:{turn}"

    def keep(self, tensor: Tensor) -> Stored:
        """Store a tensor, where the network's are; the reference to it."""
        assert self._instead is not None
        name = f"{self._instead.name}.constant{len(self.tensors)}"
        return Stored.made(self.tensors, name, tensor.to(self._device))

    def constant(self, leaf: Any) -> Tensor | None:
        """The tensor of an argument that is the same for all samples, or None.

        One of the size of the batch is that of two samples.
        """
        if isinstance(leaf, Stored):
            return self.tensors[leaf.name]
        return self._fixed.get(leaf.name) if isinstance(leaf, Value) else None

    @cached_property
    def _fixed(self) -> Mapping[str, Tensor]:
        """The constants that are the same for all samples."""
        values: dict[str, Any] = {}
        for op in self._graph.operations:
            if op.name in self._graph.fixed:
                values[op.name] = call(op, values, self.tensors, _BATCH)
        return values

    def maker(self, value: Value) -> Operation | None:
        """The operation that computes a value; None of an input."""
        return next((op for op in self.operations if op.name == value.name), None)

    def shape_of(self, leaf: Value | Stored) -> tuple[int, ...]:
        """The shape of a value for one sample, or of a stored `[1, *S]`."""
        stored = isinstance(leaf, Stored)
        return tuple(self.tensors[leaf.name].shape[1:]) if stored else self.shapes[leaf.name]

    def dtype_of(self, leaf: Any) -> torch.dtype | None:
        """The dtype of an argument; None of one that is none."""
        if isinstance(leaf, Stored):
            return self.tensors[leaf.name].dtype
        return self._dtypes.get(leaf.name, self.dtype) if isinstance(leaf, Value) else None

    def _form(self, op: Operation) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape for one sample and dtype of a value, computed once for calls of one form."""

        def sized(leaf: Any) -> Any:
            if isinstance(leaf, Value):
                return self.shapes[leaf.name], self._dtypes.get(leaf.name)
            return self.tensors[leaf.name].shape if isinstance(leaf, Stored) else leaf

        key = op.target, repr(mapped(op.args, sized))
        if key not in self._known:
            value = self._computed(op)
            self._known[key] = tuple(value.shape[1:]), value.dtype
        return self._known[key]

    def _computed(self, op: Operation) -> Tensor:
        """The value of a call, without contents."""

        def shaped(leaf: Any) -> Any:
            if isinstance(leaf, Value):
                shape, dtype = (_BATCH, *self.shapes[leaf.name]), self._dtypes.get(leaf.name)
                return torch.empty(shape, dtype=dtype or self.dtype, device="meta")
            if isinstance(leaf, Stored):
                return self.tensors[leaf.name].to("meta")
            return _BATCH if leaf is BATCH else leaf

        return op.target(*mapped(op.args, shaped))

    def _site_name(self, op: Operation) -> str:
        base, number = f"{op.module}.{op.function}".removeprefix("."), 1
        while (name := base if number == 1 else f"{base}:{number}") in self._sites:
            number += 1
        self._sites.add(name)
        return name
