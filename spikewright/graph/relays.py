"""Both factors of a product are spikes: where one is a current, a unit stands in front of it.

So are the values that a maximum chooses among. A relay is a unit whose function is the identity. A
factor needs none where it is what a unit sends, moved about, maximal in windows, or times one
number. A maximum of what the network is given, moved about, needs none either.

A maximum of two values compares counts, so both come from units of one threshold: two units alike
share theirs, and in front of others stand two relays that do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import getitem

from spikewright.graph.batch_norm import BATCH_NORM
from spikewright.graph.ir import Graph, Kind, Operation, Site, Value
from spikewright.graph.primitives import EXPAND, RELAY, SQUEEZE, UNSQUEEZE
from spikewright.graph.routes import Chosen, Moved, Scaled
from spikewright.graph.rule import rule_of

_MEETINGS = (Kind.PRODUCT, Kind.MAX)


def with_relays(graph: Graph) -> Graph:
    """The same network, with units in front of those factors of products that are no spikes.

    And in front of the values among which a maximum chooses.
    """
    if all(op.kind not in _MEETINGS for op in graph.operations):
        return graph
    return _Relaying(_with_maxima_of_one_shape(graph)).relayed()


def _with_maxima_of_one_shape(graph: Graph) -> Graph:
    """The same network, with values repeated where a maximum of two would repeat them itself."""
    operations: list[Operation] = []
    for op in graph.operations:
        narrow: dict[str, str] = {}
        if op.kind is Kind.MAX and len(set(op.inputs) - graph.constants) > 1:
            for name in op.inputs:
                shape = graph.shapes[name]
                if name in graph.constants or shape == op.shape or len(shape) != len(op.shape):
                    continue
                narrow[name] = f"{name}.{op.name}"
                args = (Value(name), [-1, *op.shape])
                wide = replace(op, name=narrow[name], target=EXPAND, args=args, kwargs={})
                operations.append(replace(wide, kind=Kind.LINEAR))
        operations.append(op.rewired(narrow))
    return replace(graph, operations=tuple(operations))


class _Relaying:
    """One pass over a graph; one use."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._made_by = {op.name: op for op in graph.operations}
        self._readers = graph.consumers()
        self._calls: dict[str, int] = {}  # products met, by the name of the call
        self._spikes = {port.name: False for port in graph.inputs}
        self._relays: dict[str, list[Operation]] = {}  # by the value that they repeat
        self._rewired: dict[str, dict[str, str]] = {}  # by reader
        self._alike: dict[str, str] = {}  # what has one threshold, by the name of the site

    def relayed(self) -> Graph:
        for op in self._graph.operations:
            self._spikes[op.name] = self._sends_spikes(op)
            if op.kind in _MEETINGS and not self._chooses_already(op):
                self._put_before(op)
        operations: list[Operation] = []
        for op in self._graph.operations:
            relayed = self._rewired.get(op.name, {})
            for source in relayed:
                operations += self._relays.pop(source, ())
            operations.append(op.rewired(relayed))
        return replace(self._graph, operations=tuple(self._sharing(op) for op in operations))

    def _sharing(self, op: Operation) -> Operation:
        if op.site is None or op.site.name not in self._alike:
            return op
        return replace(op, site=replace(op.site, alike=self._alike[op.site.name]))

    def _sends_spikes(self, op: Operation) -> bool:
        """Whether a value is what units send, moved about or times one number."""
        if op.site is not None or op.kind is Kind.CONSTANT:
            return op.site is not None
        if op.kind is Kind.PRODUCT or not all(self._spikes[name] for name in op.inputs):
            return False
        route = rule_of(op).route(op, self._graph)
        if isinstance(route, Scaled):
            one = all(self._graph.tensors[name].numel() == 1 for name in op.stored)
            return one and not route.shifted
        moved = isinstance(route, Moved) and route.counted and not route.constant
        return moved or isinstance(route, Chosen)

    def _chooses_already(self, op: Operation) -> bool:
        """Whether a maximum chooses among given numbers, or will once a batch norm is behind it."""
        if op.kind is not Kind.MAX or len(op.inputs) != 1:
            return False
        (name,) = op.inputs
        while (maker := self._made_by.get(name)) is not None and len(maker.inputs) == 1:
            norm = maker.target is BATCH_NORM
            route = None if maker.site or norm else rule_of(maker).route(maker, self._graph)
            through = norm or maker.target is getitem or isinstance(route, Moved | Chosen)
            if not through:
                return False
            (name,) = maker.inputs
            if norm:
                return self._spikes[name]
        return maker is None

    def _put_before(self, meeting: Operation) -> None:
        factors = [n for n in meeting.inputs if n not in self._graph.constants]
        call = f"{meeting.module}.{meeting.function}".removeprefix(".")
        number = self._calls[call] = self._calls.get(call, 0) + 1
        call = call if number == 1 else f"{call}:{number}"
        sides = ("left", "right") if len(factors) == 2 else ("factor",)
        chosen = meeting.kind is Kind.MAX and len(factors) > 1
        behind = [op for factor in factors for op in self._senders(factor)] if chosen else []
        if chosen and _are_alike(behind):
            self._share_a_threshold([op.site for op in behind if op is not None], call)
            return
        places = {factor: self._before_copies(factor, meeting) for factor in factors}
        if chosen and len({self._graph.shapes[source] for source, _ in places.values()}) > 1:
            places = {factor: (factor, meeting) for factor in factors}
        sites: list[Site | None] = []
        for side, factor in zip(sides, factors, strict=True):
            if self._spikes[factor] and not chosen:
                continue
            source, reader = places[factor]
            if source not in self._relays:
                self._relays[source] = self._relay(meeting, source, Site(f"{call}.{side}"))
            sites += [op.site for op in self._relays[source]]
            relay = self._relays[source][-1].name
            self._rewired.setdefault(reader.name, {})[source] = relay
        if chosen:
            self._share_a_threshold(sites, call)

    def _senders(self, name: str) -> list[Operation | None]:
        """What makes a value, before it was moved about or chosen by maxima of two values."""
        maker = self._made_by.get(name)
        if maker is None or maker.site is not None:
            return [maker]
        route = rule_of(maker).route(maker, self._graph) if len(maker.inputs) == 1 else None
        moved = isinstance(route, Moved) and route.counted and not route.constant
        chosen = maker.kind is Kind.MAX and len(maker.inputs) > 1
        if not (moved or chosen or maker.target is getitem):
            return [maker]
        return [op for source in maker.inputs for op in self._senders(source)]

    def _share_a_threshold(self, sites: list[Site | None], group: str) -> None:
        """Give sites, and those that share with one of them, one threshold."""
        names = [site.name for site in sites if site is not None and not site.alike]
        joined = {self._alike.get(name) for name in names} - {None}
        names += [name for name, other in self._alike.items() if other in joined]
        if len(set(names)) > 1:
            self._alike.update(dict.fromkeys(names, group))

    def _before_copies(self, factor: str, meeting: Operation) -> tuple[str, Operation]:
        """The value that a factor repeats, and who reads it on the way to where factors meet."""
        shapes = self._graph.shapes
        best, source, reader = (factor, meeting), factor, meeting
        while (maker := self._made_by.get(source)) is not None and len(maker.inputs) == 1:
            route = rule_of(maker).route(maker, self._graph) if maker.site is None else None
            moved = isinstance(route, Moved) and route.constant in (0, -math.inf)
            alone = len(self._readers[source]) == 1 and moved
            (before,) = maker.inputs
            if not alone or maker.target is getitem:
                break
            source, reader = before, maker
            if math.prod(shapes[source]) < math.prod(shapes[best[0]]):
                best = source, reader
        return best

    def _relay(self, meeting: Operation, source: str, site: Site) -> list[Operation]:
        """The unit, with a channel where its value is one number a sample."""
        shape = self._graph.shapes[source]
        like = replace(meeting, kwargs={}, kind=Kind.LINEAR)
        unit = replace(
            like,
            name=f"{source}.relay",
            target=RELAY,
            args=(Value(source),),
            kind=Kind.UNIT,
            shape=shape,
            site=site,
        )
        if shape:
            return [unit]
        return with_a_channel(unit)


def _are_alike(units: Sequence[Operation | None]) -> bool:
    """Whether all are units of one function, which may have one threshold."""
    forms = [
        replace(op, name="", args=op.args[1:], module="", source="", site=replace(op.site, name=""))
        for op in units
        if op is not None and op.site is not None
    ]
    return len(forms) == len(units) and all(form == forms[0] for form in forms)


def with_a_channel(unit: Operation) -> list[Operation]:
    """A unit of one number a sample, `[B]`, applied to `[B, 1]`: sites have channels."""
    column = replace(
        unit,
        name=f"{unit.name}_column",
        target=UNSQUEEZE,
        args=(Value(unit.inputs[0]), 1),
        kwargs={},
        kind=Kind.LINEAR,
        shape=(1,),
        site=None,
        body=(),
    )
    reading = unit.rewired({unit.inputs[0]: column.name})
    units = replace(reading, name=f"{unit.name}_units", shape=(1,))
    answer = replace(column, name=unit.name, target=SQUEEZE, args=(Value(units.name), 1), shape=())
    return [column, units, answer]
