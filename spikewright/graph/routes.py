"""What an operation does to events and numbers on their way: the routes, and connections.

An event is sent along every connection and adds to what stands at its end; pooling, views and
concatenation only route it. A rule says which of these routes its operation is, and the account of
energy charges each for what it does. A connection is a weight that is not 0. Connections are exact,
at borders, with strides, dilation, groups and padding, as they come from the operation itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.evaluate import call
from spikewright.graph.ir import BATCH, Graph, Operation, Stored, Value, mapped


@dataclass(frozen=True)
class Weighted:
    """Every output is a weighted sum of inputs.

    Attributes:
        fan_out: makes the number of outputs that each input element reaches, float64 `[1, *S]`.
        biased: whether a bias that is not all 0 is added.
    """

    fan_out: Callable[[], Tensor]
    biased: bool


@dataclass(frozen=True)
class Chosen:
    """Every output is the largest input of its window.

    Attributes:
        windows: what arrives in every window, `[R, *out]`, of the events `[R, *S]` of each input.
    """

    windows: Callable[..., Tensor]


@dataclass(frozen=True)
class Averaged:
    """Every output is a mean, or a sum, of inputs.

    Attributes:
        arriving: what arrives at every output, `[R, *out]`, of events `[R, *S]`.
        uniform: whether all connections weigh the same, so that the factor folds into weights.
    """

    arriving: Callable[[Tensor], Tensor]
    uniform: bool = True


@dataclass(frozen=True)
class Added:
    """The output is a sum of values, element by element.

    Attributes:
        addends: names of the values, each as often as it is added.
        constant: whether a constant that is not 0 is added too.
        multiplied: the place of the addend that is multiplied by a number first, or None.
    """

    addends: tuple[str, ...]
    constant: bool = False
    multiplied: int | None = None


@dataclass(frozen=True)
class Scaled:
    """The output is the input times constants, and plus constants with `shifted`."""

    shifted: bool = False


@dataclass(frozen=True)
class Multiplied:
    """Every output is a sum of products of two signals, each of which is at hand as a held count.

    Attributes:
        partners: makes, by input, the number of the other signal's elements that each of its
            elements meets, float64 `[1, *S]`.
        arriving: how many events of either signal arrive at every output, `[1, *out]`, of events
            `[1, *S]` by input.
    """

    partners: Callable[[], Mapping[str, Tensor]]
    arriving: Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Moved:
    """Every output is one input or a constant: the operation moves, repeats or drops values.

    Attributes:
        move: the operation on events in place of values, by name, `[R, *S]` each.
        constant: what some outputs are that are no input, if not 0; NaN where that is several.
        counted: whether spikes that arrive remain counts of spikes.
    """

    move: Callable[[Mapping[str, Any]], Any]
    constant: float = 0.0
    counted: bool = True


@dataclass(frozen=True)
class Begun:
    """Numbers begin here: rows of a stored table, which are read and not computed."""


Route = Weighted | Chosen | Averaged | Added | Scaled | Multiplied | Moved | Begun


def moved_by(op: Operation, graph: Graph, *, constant: float = 0.0) -> Moved:
    """The route of an operation that moves the values of its inputs as it moves any numbers.

    Args:
        op: an operation on values and stored tensors; floating ones are constants beside the
            values, others are indices.
        graph: that holds the tensors.
        constant: the number that it puts in by its arguments.
    """
    stored = {name: graph.tensors[name].cpu() for name in op.stored}
    beside = {
        name: torch.zeros_like(t, dtype=torch.float64) if t.is_floating_point() else t
        for name, t in stored.items()
    }

    def move(values: Mapping[str, Any]) -> Any:
        lead = next((len(v) for v in values.values() if isinstance(v, Tensor)), 1)
        return call(op, values, beside, lead)

    beside_values = any(t.is_floating_point() for t in stored.values())
    return Moved(move, math.nan if beside_values else constant)


def weighted_by(
    op: Operation,
    graph: Graph,
    bias: int | None = None,
    thinned: Callable[[Tensor], Tensor] = lambda present: present,
) -> Weighted:
    """The route of an operation with stored weights, its connections found by a gradient.

        fan_out[i] = number of outputs o with w[o, i] != 0 = gradient of sum_o ([w != 0] x)[o]

    Args:
        op: linear in its one input.
        graph: that it stands in.
        bias: where the bias stands among the arguments; it may stand among the keywords.
        thinned: adds weights of 0 and 1 up over the outputs that they lead to, which leaves the
            gradient as it is, at less work.
    """
    place = None if bias is None else (op.args[bias : bias + 1] or [op.kwargs.get("bias")])[0]
    biased = isinstance(place, Stored) and bool((graph.tensors[place.name] != 0).any())

    def fan_out() -> Tensor:
        shape = graph.shapes[op.inputs[0]]
        x = torch.zeros(1, *shape, dtype=torch.float64, requires_grad=True)

        def known(leaf: Any) -> Any:
            if isinstance(leaf, Value):
                return x
            if isinstance(leaf, Stored):
                return thinned((graph.tensors[leaf.name].cpu() != 0).double())
            return 1 if leaf is BATCH else leaf

        args = [None if at == bias else leaf for at, leaf in enumerate(op.args)]
        kwargs = {name: value for name, value in op.kwargs.items() if name != "bias"}
        with torch.enable_grad():
            reached: Tensor = op.target(*mapped(args, known), **mapped(kwargs, known)).sum()
            (reach,) = torch.autograd.grad(reached, x)
        return reach.round()

    return Weighted(fan_out, biased)


def multiplied_by(op: Operation, graph: Graph) -> Multiplied:
    """The route of a product, its meetings found by its own value for signals of ones.

    A product F(A, B) is linear in each signal, so that for events a and b

        partners of A[i] = d/dA[i] sum F(1, 1)
        arriving = F(a, 1) + F(1, b) = F(1 + a, 1 + b) - F(1, 1) - F(a, b)

    Args:
        op: of kind `PRODUCT`.
        graph: that it stands in.
    """
    shapes = {name: (1, *graph.shapes[name]) for name in op.inputs}

    def product(*signals: Tensor) -> Tensor:
        return call(op, dict(zip(op.inputs, signals, strict=True)), {}, 1)

    def ones() -> tuple[Tensor, ...]:
        return tuple(torch.ones(shape, dtype=torch.float64) for shape in shapes.values())

    def partners() -> Mapping[str, Tensor]:
        signals = tuple(signal.requires_grad_() for signal in ones())
        with torch.enable_grad():
            met = torch.autograd.grad(product(*signals).sum(), signals)
        return {name: each.round() for name, each in zip(op.inputs, met, strict=True)}

    def arriving(events: Mapping[str, Tensor]) -> Tensor:
        sent = tuple(events[name] for name in op.inputs)
        more = tuple(one + e for one, e in zip(ones(), sent, strict=True))
        return product(*more) - product(*ones()) - product(*sent)

    return Multiplied(partners, arriving)


class PlaneMap:
    """Connections of an operation within a channel's plane, one 0/1 matrix a dimension.

    Pooling and interpolation are products of one map along each dimension, so an element of the
    plane reaches every combination of what its coordinates reach.

    Args:
        matrices: `[out, in]` each, float64, for the last dimensions in order.
    """

    def __init__(self, matrices: Sequence[Tensor]) -> None:
        self._matrices = tuple(matrices)

    def __call__(self, events: Tensor) -> Tensor:
        """What arrives at every output, `[R, *out]`, of events `[R, *S]`."""
        first = events.ndim - len(self._matrices)
        for axis, matrix in enumerate(self._matrices, first):
            events = torch.einsum("oi,...i->...o", matrix, events.movedim(axis, -1)).movedim(
                -1, axis
            )
        return events
