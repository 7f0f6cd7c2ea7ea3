"""What values are once the input of a network is over: nothing arrives, and nothing is added.

An operation that commutes with summing over time is `A(x) = W x + c`, where c is of biases and of
constants that are added. A window of T steps adds c in each of them; after it, a step gives
`A(x) - A(0) = W x`. Inputs, and what is computed of them alone, are 0 then; masks, indices and
other constants stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from spikewright.graph.evaluate import call, last_uses
from spikewright.graph.inputs import Batch, named
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.neurons import StreamingDynamics


class Rest:
    """The time steps after a window, in which spikes alone are sent on; silence is not computed."""

    def __init__(self, graph: Graph, steady: Mapping[str, Any], shown: Batch) -> None:
        """Begin to rest.

        Args:
            graph: scales folded.
            steady: the values that do not vary during the window, inputs among them, by name.
            shown: the batch of all inputs that was shown.
        """
        self._tensors = graph.tensors
        self._signals = {port.name for port in graph.inputs if port.dtype is None}
        kept = {port.name for port in graph.inputs if port.dtype is not None}
        kept |= {op.name for op in graph.operations if op.kind is Kind.CONSTANT}
        self.steady: dict[str, Any] = {
            name: value if name in kept else tree_map(torch.zeros_like, value)
            for name, value in steady.items()
        }
        self._kept = kept
        self._added, self._nothing = _at_zero(graph, shown)
        self._silent: set[str] = set()

    def begin_step(self) -> None:
        """Begin a step: inputs are silent, and what is computed of them alone."""
        self._silent = self._signals | (self.steady.keys() - self._kept)

    def is_silent(self, op: Operation, neurons: StreamingDynamics | None) -> bool:
        """Whether an operation gives 0 at this step, as all that it reads is 0: often it is.

        Args:
            op: one of the step's, after those that it reads.
            neurons: its own, if any, which may still owe spikes.
        """
        owes = neurons is not None and neurons.owes
        silent = not owes and all(name in self._silent or name in self._kept for name in op.inputs)
        if silent:
            self._silent.add(op.name)
        return silent

    def sent(self, op: Operation, spikes: Tensor) -> None:
        """Learn what neurons sent at this step."""
        if not bool(spikes.any()):
            self._silent.add(op.name)

    def nothing(self, op: Operation, batch: int) -> Any:
        """The value of an operation that is silent."""
        return tree_map(
            lambda zero: zero[:1].expand(batch, *zero.shape[1:]), self._nothing[op.name]
        )

    def passes(self, op: Operation, values: Mapping[str, Any], batch: int) -> Any:
        """`W x` of an operation `W x + c`.

        Args:
            op: of kind `LINEAR`.
            values: what it reads, `[B, *S]`.
            batch: B.
        """
        value = call(op, values, self._tensors, batch)
        added = self._added.get(op.name)
        return value if added is None else tree_map(_without, value, added)


def _zero(value: Tensor) -> Tensor:
    """The number 0 in the shape of a value, which takes no memory."""
    return value.new_zeros(()).expand(value.shape)


def _without(value: Tensor, added: Tensor) -> Tensor:
    """What is left without a constant; nothing where that is infinite, as under a mask."""
    return torch.where(added.isfinite(), value - added, 0.0)


def added_constants(graph: Graph, shown: Batch) -> dict[str, Any]:
    """The constants c of operations `W x + c`, by name, where they are not 0 everywhere.

    Args:
        graph: whose operations of kind `LINEAR` are asked.
        shown: a batch of all inputs, of which indices and masks are read.

    Returns:
        `[1, *S]` each; `[B, *S]` where the network takes indices or masks, which c may depend on.
    """
    return _at_zero(graph, shown)[0]


def _at_zero(graph: Graph, shown: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
    """`added_constants`, and the zeros that every operation gives where nothing arrives."""
    indices = any(port.dtype is not None for port in graph.inputs)
    batch = len(shown) if indices else 1
    like = graph.like
    values: dict[str, Any] = {
        name: tensor if port.dtype is not None else torch.zeros_like(tensor[:batch])
        for port, (name, tensor) in zip(graph.inputs, named(graph.inputs, shown), strict=True)
    }
    freed = last_uses(graph.operations, ())
    added: dict[str, Any] = {}
    nothing: dict[str, Any] = {}
    for op in graph.operations:
        if op.kind in (Kind.LINEAR, Kind.CONSTANT):
            value = call(op, values, graph.tensors, batch)
            if op.kind is Kind.LINEAR:
                if any(bool(leaf.any()) for leaf in tree_leaves(value)):
                    added[op.name] = value
                value = tree_map(torch.zeros_like, value)
        else:
            value = like.new_zeros(batch, *op.shape)
        values[op.name] = value
        nothing[op.name] = tree_map(_zero, value)
        for name in freed[op.name]:
            values.pop(name, None)
    return added, nothing
