"""One layer after the other, over samples that are too many to run as one batch.

A correction must be settled on all samples before the next layer may run. So the samples stand side
by side at one layer of the network, in parts, each with the values that later layers read; these
are counts, kept in the narrowest integers that hold them, and are freed with their last reader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.mean_values import MeanValues
from spikewright.calibration.segments import Segment, leading_to, segments_of
from spikewright.graph.accumulated import Accumulated
from spikewright.graph.evaluate import apply, call, last_uses
from spikewright.graph.inputs import Batch, named
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.rule import rule_of

REMEMBERED = 256 << 20
"""Bytes of currents that a layer remembers where they are needed several times."""


Currents = Callable[[], Iterator[tuple[int, Tensor]]]
"""Goes over the parts of the samples at a layer: each part's number and current, `[D * B, *S]`."""


@dataclass(frozen=True)
class Sent:
    """What a layer sends: numbers, and what one of them stands for.

    Attributes:
        numbers: `[B, *S]`, counts or spikes, of any dtype.
        unit: broadcastable to `[B, *S]`.
        whole: whether all numbers are known to be whole.
    """

    numbers: Tensor
    unit: Tensor
    whole: bool = False

    def narrowed(self) -> Sent:
        """The same in the narrowest integers that hold every number; as it is if none does."""
        least, most = self.numbers.aminmax()
        for dtype in (torch.uint8, torch.int16):
            limits = torch.iinfo(dtype)
            if least >= limits.min and most <= limits.max:  # what is not a number is no such
                narrow = self.numbers.to(dtype)
                if self.whole or torch.equal(narrow.to(self.numbers.dtype), self.numbers):
                    return Sent(narrow, self.unit)
                break
        return self

    @property
    def values(self) -> Tensor:
        """Numbers times units, in the dtype of the unit."""
        return self.numbers.to(self.unit.dtype) * self.unit


class Layers:
    """Samples on their way through a network; one use.

    Args:
        graph: scales not folded.
        parts: the samples, batches of all inputs.
        steps: D, time steps that are held of every value, as `[D * B, *S]`.
        rehearsal: the first of them, which weigh nothing.
        means: the mean current of layers is asked for, for D = 1.
        whole: go on to the outputs behind the last unit.
    """

    def __init__(
        self,
        graph: Graph,
        parts: Sequence[Batch],
        steps: int = 1,
        rehearsal: int = 0,
        *,
        means: bool = False,
        whole: bool = False,
    ) -> None:
        self.graph = graph
        self.segments = segments_of(graph, whole=whole)
        self.steps = steps
        self.rehearsal = rehearsal
        self.sizes = [len(part) for part in parts]
        self.element_size = graph.dtype.itemsize
        linear = all(port.dtype is None for port in graph.inputs)  # in all that it reads
        self.means = MeanValues(graph, parts) if means and linear else None
        self.kept: list[dict[str, Any]] = [dict(named(graph.inputs, part)) for part in parts]
        self.inputs = {port.name for port in graph.inputs}
        self._stores: dict[str, Tensor] = {}

    def units(self) -> Iterator[AtLayer]:
        """The layers of units, in order; each must send all of its parts before the next."""
        for layer in self.layers():
            if layer.operation.site is not None:
                yield layer
            else:
                layer.merge()

    def layers(self) -> Iterator[AtLayer]:
        """All layers, in order; each must send or merge all of its parts before the next."""
        for segment in self.segments:
            if self.means is not None:
                self.means.enter(segment)
            yield AtLayer(self, segment)
            if self.means is not None:
                self.means.leave(segment)
            for name in segment.frees:
                self._stores.pop(name, None)

    def values(self, name: str) -> Iterator[Tensor]:
        """A value that is kept, of each part, `[D * B, *S]`."""
        for kept in self.kept:
            yield self.opened(name, kept[name])

    def opened(self, name: str, kept: Any) -> Any:
        """A value as operations read it."""
        if isinstance(kept, Sent):
            return kept.values
        if name in self.inputs and self.steps > 1:
            return kept.repeat(self.steps, *[1] * (kept.ndim - 1))
        return kept

    def stored(self, number: int, name: str, numbers: Tensor) -> Tensor:
        """What a part sends, in one block of memory with that of the other parts.

        Blocks of every part's own would lie between the large, passing tensors of the layers' work,
        and keep the allocator from using their memory again.
        """
        steps = self.steps
        if name not in self._stores:
            self._stores[name] = numbers.new_empty(sum(self.sizes) * steps, *numbers.shape[1:])
        store = self._stores[name]
        if store.dtype is not numbers.dtype:  # this part has larger numbers than the first
            return numbers
        return store.narrow(0, sum(self.sizes[:number]) * steps, len(numbers)).copy_(numbers)


class AtLayer:
    """All samples at one layer."""

    def __init__(self, layers: Layers, segment: Segment) -> None:
        self._layers = layers
        self._segment = segment
        run = (*segment.operations, segment.end)
        self._freed = last_uses(run, segment.keeps | set(segment.end.inputs))

    @property
    def operation(self) -> Operation:
        """The unit."""
        return self._segment.end

    @property
    def site(self) -> str:
        """The name of its site."""
        assert self.operation.site is not None
        return self.operation.site.name

    def mean_current(self) -> Tensor:
        """The mean over all samples, `[1, *S]`."""
        if self._layers.means is not None:
            return self._layers.means.of(self.operation.inputs[0])
        total: Tensor | None = None
        for _, current in self.currents():
            part = current.sum(0, keepdim=True, dtype=torch.float64)
            total = part if total is None else total + part
        assert total is not None
        return (total / sum(self._layers.sizes)).to(self._layers.graph.dtype)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The linear operations that lead to its end, and the end."""
        return (*self._segment.operations, self._segment.end)

    @property
    def lasts(self) -> bool:
        """Whether a later layer reads the value of its end."""
        return self._segment.lasts

    def keeps(self, op: Operation) -> bool:
        """Whether a later layer reads the value of one of its operations."""
        return op.name in self._segment.keeps

    def read_by(self, op: Operation) -> Iterator[Tensor]:
        """What one of its operations reads first, of each part, `[D * B, *S]`."""
        made_by = {one.name: one for one in self._segment.operations}
        leading = {one.name for one in leading_to(op.inputs, made_by)}
        needed = [one for one in made_by.values() if one.name in leading]
        for number in range(len(self._layers.kept)):
            yield self._values(number, needed)[op.inputs[0]]

    def read_and_current(self, op: Operation) -> Iterator[tuple[Tensor, Tensor]]:
        """What one of its operations reads first, and the current, of each part."""
        for number in range(len(self._layers.kept)):
            values = self._values(number, self._segment.operations)
            yield values[op.inputs[0]], values[self.operation.inputs[0]]

    def currents(self) -> Iterator[tuple[int, Tensor]]:
        """Each part's number and current, `[D * B, *S]`; made anew each time it is asked for."""
        for number in range(len(self._layers.kept)):
            yield number, self._inputs(number)[0]

    def remembered_currents(self) -> Currents:
        """`currents` to be gone over several times: kept if they are small, else made anew."""
        samples = sum(self._layers.sizes) * self._layers.steps
        if samples * math.prod(self.operation.shape) * self._layers.element_size > REMEMBERED:
            return self.currents
        remembered: list[tuple[int, Tensor]] = []

        def currents() -> Iterator[tuple[int, Tensor]]:
            if not remembered:
                remembered.extend(self.currents())
            return iter(remembered)

        return currents

    def send(self, number: int, sent: Sent | Tensor) -> None:
        """Keep what a part's units send, or values that are no counts, and free what is read."""
        layers, name = self._layers, self.operation.name
        kept = layers.kept[number]
        if self._segment.lasts:
            if isinstance(sent, Tensor):
                numbers, unit = sent, sent.new_ones(())
                kept[name] = narrow = layers.stored(number, name, numbers)
            else:
                numbers, unit = sent.numbers, sent.unit
                narrow = layers.stored(number, name, sent.narrowed().numbers)
                kept[name] = Sent(narrow, unit)
            if layers.means is not None:
                layers.means.add(name, numbers, unit, narrow)
        for name in self._segment.frees:
            kept.pop(name, None)

    def merge(self) -> None:
        """Run a maximum, a product or an output on all parts."""
        end = self.operation
        alone = len(end.inputs) == 1 and end.kind is Kind.MAX
        rule, source, unit = rule_of(end), end.inputs[0], None
        for number, kept in enumerate(self._layers.kept):
            first = kept.get(source)
            if alone and isinstance(first, Sent):
                unit = first.unit  # one for all values stays one
                if unit.ndim:
                    unit = rule.passed(end, {source: unit}, self._layers.graph)
            if (
                isinstance(first, Sent) and unit is not None
            ):  # one in every window, so the order is that of the numbers
                highest = self._merged(number, (first.numbers.to(first.unit.dtype),))
                self.send(number, Sent(highest, unit))
            else:
                self.send(number, self._merged(number, self._inputs(number)))

    def _merged(self, number: int, inputs: Sequence[Tensor]) -> Tensor:
        """A maximum or product; over time steps it is the rise of that of the sums so far."""
        end, layers = self.operation, self._layers
        if layers.steps == 1 or end.kind is Kind.LINEAR:
            return apply(end, inputs, layers.graph.tensors)
        weights = [float(step >= layers.rehearsal) for step in range(layers.steps)]
        trains = [value.unflatten(0, (layers.steps, layers.sizes[number])) for value in inputs]
        return (
            Accumulated(end, layers.graph.tensors, weights).advance(trains, weights).flatten(0, 1)
        )

    def _inputs(self, number: int) -> tuple[Any, ...]:
        """The values that the unit, maximum or product reads, of one part."""
        segment, kept = self._segment, self._layers.kept[number]
        values = self._values(number, segment.operations, self._freed)
        kept.update({name: values[name] for name in segment.keeps})
        return tuple(values[name] for name in segment.end.inputs)

    def _values(
        self,
        number: int,
        operations: Sequence[Operation],
        freed: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """What some of the segment's operations compute of a part, and the values they read."""
        layers = self._layers
        kept, batch = layers.kept[number], layers.sizes[number] * layers.steps
        values = {name: layers.opened(name, kept[name]) for name in self._segment.reads}
        for op in operations:
            values[op.name] = call(op, values, layers.graph.tensors, batch)
            for name in (freed or {}).get(op.name, ()):
                values.pop(name, None)
        return values
