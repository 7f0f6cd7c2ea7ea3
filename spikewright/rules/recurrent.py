"""Recurrent layers over a fixed number of time steps, written out as units and products.

    LSTM    c' = f c + i g,         h' = o tanh(c'),      i, f, o = sigmoid(.), g = tanh(.)
    GRU     h' = n - z (n - h),     n = tanh(W x + b + r (U h + c)),   r, z = sigmoid(.)
    RNN     h' = tanh(W x + b + U h + c), or relu

All time steps read the same stored weights. Sites are called after layer, direction, gate and time
step, such as `lstm.l0_reverse.forget:3`; those of one gate have their thresholds in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from spikewright.graph.calls import RECURRENT
from spikewright.graph.ir import Operation, Stored, Value
from spikewright.graph.offenders import register_remedies
from spikewright.graph.primitives import GRU_CELL, PRODUCT, RELAY
from spikewright.graph.rule import register
from spikewright.rules._products import WrittenOut

aten = torch.ops.aten

State = Any
"""What a cell holds of the time steps before: a value, a stored constant, or None for zeros."""


@dataclass(frozen=True)
class _Weights:
    """The weights of one layer in one direction."""

    input: Stored
    hidden: Stored
    input_bias: Stored | None = None
    hidden_bias: Stored | None = None
    projection: Stored | None = None


class _Cell:
    """One layer in one direction, written on a page; subclasses say what a step computes.

    Args:
        page: to write on.
        section: what the names of its sites begin with.
        weights: of the layer.
    """

    gates: int
    states: int = 1

    def __init__(self, page: Any, section: str, weights: _Weights) -> None:
        self.page = page
        self.section = section
        self.weights = weights
        self.width = page.tensors[weights.hidden.name].shape[0] // self.gates

    def drive(self, source: Value) -> Value:
        """What the input gives to all gates, `[B, ..., gates * H]`."""
        return self.page.call(aten.linear.default, source, self.weights.input, self.bias())

    def bias(self) -> Stored | None:
        """The bias of the input: both biases, as they are added."""
        first, second = self.weights.input_bias, self.weights.hidden_bias
        if first is None or second is None:
            return first
        tensors = self.page.tensors
        return self.page.keep(tensors[first.name] + tensors[second.name])

    def step(self, drive: Value, held: Sequence[State], time: int) -> tuple[Value, ...]:
        """The states after a step, h first."""
        raise NotImplementedError

    def unit(self, target: Any, source: Value, gate: str, time: int) -> Value:
        """A unit of a gate at a time step."""
        name = f"{self.section}.{gate}"
        return self.page.call(target, source, site=f"{name}:{time}", alike=name)

    def part(self, source: Any, gate: int, count: int = 1) -> Any:
        """The places of some gates in the last dimension."""
        start, end = gate * self.width, (gate + count) * self.width
        if isinstance(source, Stored):
            return self.page.keep(self.page.tensors[source.name][..., start:end])
        dim = len(self.page.shapes[source.name])
        return self.page.call(aten.slice.Tensor, source, dim, start, end)

    def of_constant(self, hidden: Stored) -> torch.Tensor:
        """What a stored hidden state gives to all gates, without a bias."""
        tensors = self.page.tensors
        return tensors[hidden.name] @ tensors[self.weights.hidden.name].T

    def with_hidden(self, drive: Value, hidden: State) -> Value:
        """What input and hidden state give together."""
        if hidden is None:
            return drive
        if isinstance(hidden, Stored):
            given = self.page.keep(self.of_constant(hidden))
            return self.page.call(aten.add.Tensor, drive, given)
        given = self.page.call(aten.linear.default, hidden, self.weights.hidden)
        return self.page.call(aten.add.Tensor, drive, given)


class _LSTM(_Cell):
    gates, states = 4, 2

    def step(self, drive: Value, held: Sequence[State], time: int) -> tuple[Value, ...]:
        hidden, cell = held
        total = self.with_hidden(drive, hidden)
        opened = self.unit(aten.sigmoid.default, self.part(total, 0), "input", time)
        candidate = self.unit(aten.tanh.default, self.part(total, 2), "candidate", time)
        new = self.page.call(PRODUCT, opened, candidate)
        if cell is not None:
            kept = self.unit(aten.sigmoid.default, self.part(total, 1), "forget", time)
            if isinstance(cell, Value):
                cell = self.unit(RELAY, cell, "cell", time)
            new = self.page.call(aten.add.Tensor, self.page.call(PRODUCT, kept, cell), new)
        shown = self.unit(aten.sigmoid.default, self.part(total, 3), "output", time)
        squashed = self.unit(aten.tanh.default, new, "tanh", time)
        result = self.page.call(PRODUCT, shown, squashed)
        if self.weights.projection is not None:
            result = self.page.call(aten.linear.default, result, self.weights.projection)
        return result, new


class _GRU(_Cell):
    gates = 3

    def bias(self) -> Stored | None:
        return self.weights.input_bias  # the other one stands within the product with the reset

    def step(self, drive: Value, held: Sequence[State], time: int) -> tuple[Value, ...]:
        page, (hidden,) = self.page, held
        given = self._given(hidden)
        gates, new = self.part(drive, 0, 2), self.part(drive, 2)
        if given is not None:
            gates = page.call(aten.add.Tensor, gates, self.part(given, 0, 2))
            reset = self.unit(aten.sigmoid.default, self.part(gates, 0), "reset", time)
            inner = self.part(given, 2)
            if isinstance(inner, Value):
                inner = self.unit(RELAY, inner, "hidden", time)
            new = page.call(aten.add.Tensor, new, page.call(PRODUCT, reset, inner))
        update = self.unit(aten.sigmoid.default, self.part(gates, 1), "update", time)
        new = self.unit(aten.tanh.default, new, "new", time)
        change = new
        if hidden is not None:
            change = self.unit(RELAY, page.call(aten.sub.Tensor, new, hidden), "change", time)
        return (page.call(aten.sub.Tensor, new, page.call(PRODUCT, update, change)),)

    def _given(self, hidden: State) -> Any:
        """What the hidden state gives to all gates; None for nothing."""
        bias, tensors = self.weights.hidden_bias, self.page.tensors
        if isinstance(hidden, Value):
            return self.page.call(aten.linear.default, hidden, self.weights.hidden, bias)
        if hidden is None:
            return bias
        given = self.of_constant(hidden)
        return self.page.keep(given if bias is None else given + tensors[bias.name])


class _RNN(_Cell):
    gates = 1
    function: Any = aten.tanh.default

    def step(self, drive: Value, held: Sequence[State], time: int) -> tuple[Value, ...]:
        total = self.with_hidden(drive, held[0])
        return (self.unit(self.function, total, "state", time),)


class _ReLU(_RNN):
    function = aten.relu.default


class Layers(WrittenOut):
    """Layers over time; `[B, ..., L, F]` in a graph, states `[B, layers, ..., H]`."""

    targets = RECURRENT

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        dropout, training, batch_first = op.args[5], op.args[6], op.args[8]
        if not batch_first:
            return (
                "the batch is its time: the layer takes [L, B, F] unless it is made with "
                "batch_first=True"
            )
        if training and dropout:
            return "it drops values at random; call model.eval()"
        return _computed_weights(op.args[2])

    def write_out(self, op: Operation, page: Any) -> tuple[Value, ...]:
        source, given, parameters, biased, layers = op.args[:5]
        directions = 2 if op.args[7] else 1
        kind = _CELLS[op.function]
        each = 2 + 2 * biased
        projected = len(parameters) > layers * directions * each
        rows = _in_rows(parameters, each + projected)
        known = [_states(leaf, page) for leaf in (given if kind.states > 1 else [given])]
        called = page.section(op.module or op.function)
        last: list[tuple[Value, ...]] = []
        for layer in range(layers):
            outputs: list[Value] = []
            for backwards in range(directions):
                number = layer * directions + backwards
                weights = _weights(rows[number], biased=biased, projected=projected)
                alone = layers * directions == 1
                side = f".l{layer}" + "_reverse" * backwards
                cell = kind(page, called if alone else called + side, weights)
                held = tuple(states(number) for states in known)
                steps = _unrolled(cell, source, held, backwards=bool(backwards))
                place = len(page.shapes[source.name]) - 1
                outputs.append(page.call(aten.stack.default, [s[0] for s in steps], place))
                last.append(steps[0] if backwards else steps[-1])
            source = outputs[0]
            if directions == 2:
                dim = len(page.shapes[source.name])
                source = page.call(aten.cat.default, outputs, dim)
        ends = [page.call(aten.stack.default, list(state), 1) for state in zip(*last, strict=True)]
        return source, *ends


class Cells(WrittenOut):
    """One step of a layer, called by the model; time is the number of the call."""

    targets = (
        aten.lstm_cell.default,
        aten.gru_cell.default,
        GRU_CELL,
        aten.rnn_tanh_cell.default,
        aten.rnn_relu_cell.default,
    )

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        return _computed_weights([leaf for leaf in op.args[2:] if leaf is not None])

    def write_out(self, op: Operation, page: Any) -> Value | tuple[Value, ...]:
        kind = _CELLS[op.function.removesuffix("_cell")]
        section = op.module or op.function
        cell = kind(page, section, _Weights(*op.args[2:]))
        given = op.args[1] if kind.states > 1 else [op.args[1]]
        held = [_constant(leaf, page.constant(leaf), page) for leaf in given]
        states = cell.step(cell.drive(op.args[0]), held, page.turn(section))
        return states if kind.states > 1 else states[0]


_CELLS: dict[str, type[_Cell]] = {"lstm": _LSTM, "gru": _GRU, "rnn_tanh": _RNN, "rnn_relu": _ReLU}


def _computed_weights(weights: Sequence[Any]) -> str | None:
    """Object to weights that are not stored."""
    if not all(isinstance(w, Stored) for w in weights):
        return "its weights are computed from the input"
    return None


def _unrolled(
    cell: _Cell, source: Value, held: tuple[State, ...], *, backwards: bool
) -> list[tuple[Value, ...]]:
    """The states after every time step, in the order of the sequence."""
    shape = cell.page.shapes[source.name]
    drive, times = cell.drive(source), range(shape[-2])
    steps: dict[int, tuple[Value, ...]] = {}
    for time in reversed(times) if backwards else times:
        current = cell.page.call(aten.select.int, drive, len(shape) - 1, time)
        held = steps[time] = cell.step(current, held, time + 1)
    return [steps[time] for time in times]


def _in_rows(parameters: Sequence[Stored], each: int) -> list[Sequence[Stored]]:
    return [parameters[at : at + each] for at in range(0, len(parameters), each)]


def _weights(row: Sequence[Stored], *, biased: bool, projected: bool) -> _Weights:
    first, second = row[2:4] if biased else (None, None)
    return _Weights(row[0], row[1], first, second, row[-1] if projected else None)


def _states(leaf: Any, page: Any) -> Any:
    """What gives the initial state of a layer and direction by number."""
    known = page.constant(leaf)

    def state(number: int) -> State:
        if known is not None:
            return _constant(leaf, known[:, number], page)
        return page.call(aten.select.int, leaf, 1, number)

    return state


def _constant(leaf: Any, known: torch.Tensor | None, page: Any) -> State:
    """A state: None for zeros, one sample of a constant, or the signal itself."""
    if known is None:
        return leaf
    return page.keep(known[:1].clone()) if bool((known != 0).any()) else None


register(Layers(), Cells())
register_remedies(
    {
        "lstm": "packed sequences have lengths of their own; pass padded ones, of a fixed length",
        "gru": "packed sequences have lengths of their own; pass padded ones, of a fixed length",
        "_pack_padded_sequence": "pass padded sequences of a fixed length, not packed ones",
    }
)
