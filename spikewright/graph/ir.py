"""The plan of a network: a small immutable list of operations on named values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.inputs import Call, Input
from spikewright.graph.structure import Stored, Structure


class Kind(StrEnum):
    """What an operation is to a spiking network."""

    LINEAR = "linear"
    """An operation that commutes with summing over time."""
    UNIT = "unit"
    """An activation: it becomes a layer of spiking neurons."""
    MAX = "max"
    """A maximum: the winner by count."""
    PRODUCT = "product"
    """A product of two signals, linear in each: every spike of one meets the count of the other."""
    CONSTANT = "constant"
    """An operation that no signal reaches: on constants, or on indices and masks, once a call."""


class Batch(Enum):
    """The mark in an operation's arguments where the model wrote the size of the batch."""

    SIZE = "batch"

    def __repr__(self) -> str:
        return "BATCH"


BATCH = Batch.SIZE


ROOT = "<root>"
"""The name by which the body of a unit reads the signal that it is a function of."""


@dataclass(frozen=True)
class Value:
    """A reference to what an operation (or the input) computes, one per sample."""

    name: str


@dataclass(frozen=True)
class Site:
    """A layer of neurons to be.

    Attributes:
        name: the module path of the activation; later calls of one module get `:2`, `:3`, ...
        threshold: the stored name of a learned threshold (QCFS's lambda), or None.
        rectifies: whether the activation is max(x, 0), perhaps with a ceiling: a neuron that counts
            from 0 to L does that by itself. Of any other, neurons round the function's value.
        ceiling: the largest value of a rectifier; infinite where it has none, or learned it.
        least: the least input for which the function is defined, or None.
        group: how many inputs each value is a function of: those of a softmax's row, say.
        alike: the name of what it has in common with other sites, of one shape: their statistics
            are taken together, so that their thresholds are the same. Those of one gate of a
            recurrent layer, at all of its time steps. "" for a site of its own.
        channels: the dimensions of `[B, *S]`, ascending, along which each place has a threshold of
            its own; none where the layer shares one. `graph.channels` finds them.
    """

    name: str
    threshold: str | None = None
    rectifies: bool = False
    ceiling: float = math.inf
    least: float | None = None
    group: int = 1
    channels: tuple[int, ...] = (1,)
    alike: str = ""

    @property
    def group_name(self) -> str:
        """What its statistics are kept under."""
        return self.alike or self.name


@dataclass(frozen=True)
class Operation:
    """One step of the plan.

    Attributes:
        name: the name of the value it computes.
        target: the function to call, an ATen overload.
        args, kwargs: its arguments; `Value`, `Stored` and `BATCH` stand for what is known later.
        kind: what it is to a spiking network.
        shape: the shape of its value for one sample, `S` of `[B, *S]`, also of a constant; empty
            for operations that give several values.
        module: the path of the user's module it was written in ("" for the model itself).
        source: "file:line" of the user's code, or "".
        site: set when `kind` is UNIT.
        body: of a unit that the model writes out, the operations that compute it; see
            `graph.fusing`. They read its signal as `ROOT`, and stored tensors; the last one
            computes its value.
    """

    name: str
    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = Kind.LINEAR
    shape: tuple[int, ...] = ()
    module: str = ""
    source: str = ""
    site: Site | None = None
    body: tuple[Operation, ...] = ()

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values it reads, in order, each once."""
        names = (v.name for v in walk((self.args, self.kwargs)) if isinstance(v, Value))
        return tuple(dict.fromkeys(names))

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """Names of the stored tensors it reads."""
        names = (v.name for v in walk((self.args, self.kwargs)) if isinstance(v, Stored))
        return tuple(dict.fromkeys(names))

    @property
    def operator(self) -> str:
        """The operator's own name, such as `aten.conv2d`."""
        name = str(self.target)
        return name.removesuffix(".default")

    @property
    def function(self) -> str:
        """The operator's name without library and overload, such as `conv2d`."""
        parts = self.operator.split(".")
        name = parts[min(1, len(parts) - 1)]
        return "softmax" if name == "_safe_softmax" else name

    @property
    def reads_data(self) -> bool:
        """Whether it reads a value, which depends on the input or the batch."""
        return reads_data((self.args, self.kwargs))

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument, wherever the call put it."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    def rewired(self, names: Mapping[str, str]) -> Operation:
        """The same operation reading other values."""

        def other(leaf: Any) -> Any:
            return Value(names.get(leaf.name, leaf.name)) if isinstance(leaf, Value) else leaf

        return replace(self, args=mapped(self.args, other), kwargs=mapped(self.kwargs, other))


@dataclass(frozen=True)
class Graph:
    """A network: operations in an order in which they can run.

    Attributes:
        operations: each reads the input, stored tensors and values of operations before it.
        tensors: the stored tensors, by name.
        inputs: what the network takes.
        outputs: the names of the values that the network's answer holds, each once.
        structure: how the answer is put together from them.
        call: how its inputs stand among the arguments of a call.
    """

    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    structure: Structure
    call: Call

    @property
    def signal(self) -> Input:
        """The one input of a network that takes nothing else.

        Raises:
            ConversionError: for a network of several inputs, or of indices.
        """
        if not self.takes_one_signal:
            names = ", ".join(self.call.names.values())
            raise ConversionError(
                f"this is for networks of one floating-point input; this network takes {names}"
            )
        return next(iter(self.inputs))

    @cached_property
    def neurons(self) -> tuple[Operation, ...]:
        """The neuron operations, in order."""
        return tuple(op for op in self.operations if op.kind is Kind.UNIT)

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """The neuron sites, in order."""
        return tuple(op.site for op in self.operations if op.site is not None)

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The names of sites that are alike, by what their statistics are kept under."""
        found: dict[str, list[str]] = {}
        for site in self.sites:
            found.setdefault(site.group_name, []).append(site.name)
        return {group: tuple(members) for group, members in found.items()}

    @cached_property
    def constants(self) -> frozenset[str]:
        """The names of values that no signal reaches: indices, masks, and what is made of them."""
        indices = {port.name for port in self.inputs if port.dtype is not None}
        made = {op.name for op in self.operations if op.kind is Kind.CONSTANT}
        return frozenset(indices | made)

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The names of constants that are the same for all samples."""
        fixed = set[str]()
        for op in self.operations:
            if op.kind is Kind.CONSTANT and fixed.issuperset(op.inputs):
                fixed.add(op.name)
        return frozenset(fixed)

    @property
    def takes_one_signal(self) -> bool:
        """Whether a network takes one floating-point input and nothing else."""
        return len(self.inputs) == 1 and self.inputs[0].dtype is None

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every value for one sample, by name; the input's too."""
        inputs = {port.name: port.shape for port in self.inputs}
        return {**inputs, **{op.name: op.shape for op in self.operations}}

    @property
    def like(self) -> Tensor:
        """Empty; of the dtype of the network's numbers, where its weights are.

        Constants among the arguments of a call may be of another dtype, and so may single numbers,
        which give no dtype to what they meet.
        """
        floats = self._own_floats
        wide = (tensor for tensor in floats if tensor.ndim)
        return next(wide, next(iter(floats), torch.empty(0))).new_empty(0)

    @property
    def _own_floats(self) -> list[Tensor]:
        given = {leaf.name for leaf in self.call.arguments.leaves if isinstance(leaf, Stored)}
        own = (tensor for name, tensor in self.tensors.items() if name not in given)
        return [tensor for tensor in own if tensor.is_floating_point()]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the network's numbers."""
        return self.like.dtype

    def stored(self, op: Operation, position: int, name: str) -> Tensor | None:
        """The stored tensor that stands as an argument, or None where none does."""
        reference = op.argument(position, name)
        return self.tensors[reference.name] if isinstance(reference, Stored) else None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the logits for one sample: the only output, or that of this name."""
        number = self.structure.logits
        return self.shapes[self.outputs[0 if number is None else number]]

    def consumers(self) -> dict[str, list[Operation]]:
        """The operations that read each value, by value."""
        readers: dict[str, list[Operation]] = {op.name: [] for op in self.operations}
        readers.update({port.name: [] for port in self.inputs})
        for op in self.operations:
            for name in op.inputs:
                readers[name].append(op)
        return readers

    def of_numbers(self, dtype: torch.dtype, device: torch.device) -> Graph:
        """The graph on one device, with an empty tensor of that dtype if no weights tell it.

        What a model computes of plain numbers may stand on the CPU, whatever its weights do.
        """
        tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        if not any(t.ndim for t in self._own_floats):
            tensors[_NUMBERS] = torch.empty(0, dtype=dtype, device=device)
        return replace(self, tensors=tensors)

    def pruned(self) -> Graph:
        """The graph without operations and tensors that no output needs."""
        needed = set(self.outputs)
        kept: list[Operation] = []
        for op in reversed(self.operations):
            if op.name in needed:
                needed.update(op.inputs)
                kept.append(op)
        used = {name for op in kept for name in op.stored}
        fixed = (*self.structure.leaves, *self.call.arguments.leaves)
        used |= {leaf.name for leaf in fixed if isinstance(leaf, Stored)}
        used |= {op.site.threshold for op in kept if op.site and op.site.threshold} | {_NUMBERS}
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in used}
        return replace(self, operations=tuple(reversed(kept)), tensors=tensors)


_NUMBERS = ":numbers"
"""The name of an empty tensor of the dtype of a network's numbers, where it has no weights."""


def walk(tree: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists and mappings."""
    if isinstance(tree, (tuple, list)):
        for branch in tree:  # pyright: ignore[reportUnknownVariableType]
            yield from walk(branch)
    elif isinstance(tree, Mapping):
        for branch in tree.values():  # pyright: ignore[reportUnknownVariableType]
            yield from walk(branch)
    else:
        yield tree


def reads_data(tree: Any) -> bool:
    """Whether nested arguments hold a value."""
    return any(isinstance(leaf, Value) for leaf in walk(tree))


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Nested tuples, lists and mappings with every leaf changed."""
    if isinstance(tree, tuple):
        return tuple(mapped(branch, change) for branch in tree)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(tree, list):
        return [mapped(branch, change) for branch in tree]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(tree, Mapping):
        return {key: mapped(branch, change) for key, branch in tree.items()}  # pyright: ignore[reportUnknownVariableType]
    return change(tree)
