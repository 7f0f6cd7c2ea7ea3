"""What the compiled engines share: the compiler, batches of few sizes, and straight-line code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx

from spikewright.graph.ir import BATCH, ROOT, Operation, Stored, Value, mapped
from spikewright.graph.rule import rule_of
from spikewright.graph.units import defined

_LARGEST_FILL = 4
"""A batch is filled up to a compiled size at most so many times its own."""

_ONE_PASS: dict[str, str | int | bool | Callable[..., Any]] = {
    "realize_reads_threshold": 64,
    "realize_opcount_threshold": 1000,
    "inplace_buffers": False,
}
"""Options of the compiler. A neuron layer reads and computes more than it fuses by itself. Where it
wrote bfloat16 counts over the currents that they come from, 16 channels at a time, each masked
store held up the next load: such a layer took three times as long."""

_COMPILER_MISSING = ("InvalidCxxCompiler", "TritonMissing")
"""Names of what torch.compile raises where it finds no compiler."""


def compiled(function: Callable[..., Any], *, dynamic: bool) -> Callable[..., Any]:
    """A compiled function that, where there is no compiler, warns once and runs as it is."""
    fast = torch.compile(function, dynamic=dynamic, options=_ONE_PASS)
    works = True

    def run(*arguments: Any) -> Any:
        nonlocal works
        if works:
            try:
                return fast(*arguments)
            except Exception as error:  # what is raised has moved between versions of torch
                if not any(name in repr(error) for name in _COMPILER_MISSING):
                    raise
                works = False
                _warn_of_missing_compiler()
        return function(*arguments)

    return run


def _warn_of_missing_compiler() -> None:
    warnings.warn(
        "torch.compile found no C++ compiler, so the network runs uncompiled, which is slower: "
        "install one, such as g++",
        stacklevel=2,
    )


@lru_cache
def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """A time loop of neurons as one kernel, for arrays of any size."""
    return compiled(function, dynamic=True)


class BatchSizes:
    """The batch sizes that code was compiled for.

    Kernels for a fixed batch size are several times faster than those for any. A smaller batch,
    such as the last one of a data set, is filled up with its first sample, which changes no other
    sample's answer.
    """

    def __init__(self) -> None:
        self._known: set[int] = set()

    def fill(self, batch: int) -> int:
        """How many samples to add to a batch of so many."""
        near = [size for size in self._known if batch <= size <= _LARGEST_FILL * batch]
        size = min(near, default=batch)
        self._known.add(size)
        return size - batch


def filled(samples: Tensor, fill: int) -> Tensor:
    """`[B, *S]` with its first sample `fill` times more."""
    if not fill:
        return samples
    return torch.cat([samples, samples[:1].expand(fill, *samples.shape[1:])])


def channels_last(tensor: Tensor) -> Tensor:
    """A batch of images in the order in memory that convolutions read fastest."""
    if tensor.ndim != 4 or tensor.layout is not torch.strided:  # packed weights stay as they are
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


class StraightLine:
    """Code of a graph's operations, one after the other, for the compiler.

    Attributes:
        code: the fx graph being written.
        values: by name, the nodes of values already computed.
    """

    def __init__(self, inputs: Sequence[str], stored: Sequence[str], batch_of: str) -> None:
        """Begin with placeholders `inputs`, then one for each stored tensor.

        Args:
            inputs: names of what the code is given.
            stored: names of the graph's tensors.
            batch_of: the input whose first size is the batch.
        """
        self.code = fx.Graph()
        self.values = {name: self.code.placeholder(f"input_{i}") for i, name in enumerate(inputs)}
        self._stored = {n: self.code.placeholder(f"stored_{i}") for i, n in enumerate(stored)}
        self._batch = self.call(torch.ops.aten.sym_size.int, self.values[batch_of], 0)

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> fx.Node:
        """Call a function of nodes."""
        return self.code.call_function(function, arguments, options)

    def parts(self, node: fx.Node, count: int) -> Iterator[fx.Node]:
        """The elements of a tuple."""
        return (self.call(_item, node, i) for i in range(count))

    def arguments(self, op: Operation) -> tuple[Any, dict[str, Any]]:
        """An operation's arguments, as nodes where they are values or stored tensors."""

        def known(leaf: Any) -> Any:
            if isinstance(leaf, Value):
                return self.values[leaf.name]
            if isinstance(leaf, Stored):
                return self._stored[leaf.name]
            return self._batch if leaf is BATCH else leaf

        return mapped(op.args, known), mapped(dict(op.kwargs), known)

    def run(self, op: Operation) -> None:
        """Compute an operation's value with its own target."""
        arguments, options = self.arguments(op)
        self.values[op.name] = self.call(rule_of(op).compiled_target(op), *arguments, **options)

    def applied(self, unit: Operation, current: fx.Node) -> fx.Node:
        """The function of a unit, of a current; see `graph.units.function_of`."""
        if unit.body:
            self.values[ROOT] = current
            for inner in unit.body:
                if inner.site is None:
                    self.run(inner)
                else:
                    self.values[inner.name] = self.applied(inner, self.values[inner.inputs[0]])
            return self.call(defined, self.values[unit.body[-1].name])
        name, least = f"{unit.name}.current", unit.site.least if unit.site else None
        self.values[name] = current if least is None else self.call(torch.clamp, current, min=least)
        arguments, options = self.arguments(unit.rewired({unit.inputs[0]: name}))
        return self.call(unit.target, *arguments, **options)

    def module(self, outputs: Sequence[Any]) -> fx.GraphModule:
        """The finished code, giving a tuple."""
        self.code.output(tuple(outputs))
        return fx.GraphModule(torch.nn.Module(), self.code)


def _item(parts: Sequence[Any], which: int) -> Any:
    return parts[which]


def row(values: Tensor, which: int) -> Tensor:
    """One row, as a call of `StraightLine`."""
    return values[which]


def kept_in(state: Tensor, value: Tensor) -> Tensor:
    """The state, overwritten with a value, as a call of `StraightLine`."""
    return state.copy_(value)
