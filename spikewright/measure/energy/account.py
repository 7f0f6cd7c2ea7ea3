"""The account of a network: one walk over its graph, each operation charged for what it does.

An event is sent along every connection and adds to the potential at its end; pooling, views and
concatenation only route it. So what a spike costs is the number of ways from its neuron to the
next neurons, exact at borders, and two rules of thumb follow: sums that end in one potential are
not added a second time, and what is constant in time is computed once. Rules know the connections.

A product of two signals holds the count of every neuron of both so far. With a spike of one, the
held counts of all neurons of the other that it meets are added, so nothing is multiplied: see
`graph.accumulated`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Graph, Operation
from spikewright.graph.evaluate import call
from spikewright.graph.routes import (
    Added,
    Averaged,
    Begun,
    Chosen,
    Moved,
    Multiplied,
    Scaled,
    Weighted,
)
from spikewright.measure.energy.counts import Counts
from spikewright.measure.energy.flow import (
    EVENTS,
    Flow,
    Form,
    evenly,
    held_by_products,
    read_by_moves,
    route_of,
    spikes_and_powers,
    summed,
)
from spikewright.measure.energy.layers import OUTPUT, owners
from spikewright.measure.energy.written import Trains, Written

SiteRule = Callable[[Operation, Flow], tuple[Flow, Counts]]
"""What a site sends when a flow arrives, and the work of its neurons."""


class Account:
    """Charges operations to sites; holds the connections of one graph, computed once.

    Where spikes of different steps weigh differently, the receiving potential is updated at every
    step (doubled for the binary code, `v <- 2 v + z`; added to a second sum for first spikes), so
    that synapses still only add. Trains whose steps weigh otherwise have a sum each.

    Args:
        graph: scales folded for a spiking network; as captured for its source.
        code: the neurons of a spiking network; None for its source.

    Attributes:
        trains: whose spikes travel where.
        reads_samples: whether values move by indices or masks of each sample.
        limits_samples: whether samples must be walked one by one, for those or as what a product
            sends has a limit in each. All else is a sum over samples.
    """

    def __init__(self, graph: Graph, code: Written | None = None) -> None:
        self.graph = graph
        self._shapes = graph.shapes
        self._owners = owners(graph)
        self._routes = {op.name: route_of(op, graph) for op in graph.operations}
        self.trains = Trains(graph, self._routes, code)
        self._moving = read_by_moves(graph, self._routes)
        self.reads_samples = not self._moving <= graph.fixed
        self._held = held_by_products(graph, self._routes)
        self.limits_samples = bool(self._held) or self.reads_samples
        self._all_wait = code is not None and all(n.waits for n in code.neurons.values())
        readers = graph.consumers()
        self._accumulators = {
            name
            for name, route in self._routes.items()
            if isinstance(route, Weighted | Added | Multiplied)
            and len(readers[name]) == 1
            and name not in graph.outputs
        }
        self._fan_outs: dict[str, Tensor] = {}
        self._partners: dict[str, Mapping[str, Tensor]] = {}  # of products, by input
        self._maxima: Mapping[str, Tensor] = {}
        self._samples = 0
        self._duration = 1.0
        self._settling = 0.0
        self._charged: dict[str, Counts] = {}

    @cached_property
    def arriving(self) -> dict[str, frozenset[str]]:
        """By site, and of the outputs: the names of the sites whose counts arrive there."""
        found: dict[str, frozenset[str]] = {}
        for op in self.graph.operations:
            owner = self._owners[op.name]
            found[owner] = found.get(owner, frozenset()) | self.trains.sites_of(op.inputs)
        return found

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights of weighted operations by name, each once however often it is used."""
        weighted = [
            op for op in self.graph.operations if isinstance(self._routes[op.name], Weighted)
        ]
        return {op.stored[0]: self.graph.tensors[op.stored[0]] for op in weighted}

    def walk(
        self,
        shown: Mapping[str, Flow],
        samples: int,
        duration: float,
        site: SiteRule,
        *,
        settling: float = 0.0,
        maxima: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Counts]:
        """Operations by site, and of the outputs, for a batch.

        Args:
            shown: the flow at every input.
            samples: how many the batch holds; see `limits_samples`.
            duration: time steps in which the input is shown; 1 for the source.
            site: what the neurons of a site send.
            settling: time steps after the window in which events come, the mean over samples.
            maxima: events that leave maxima, by operation, where counts do not tell it.
        """
        self._samples, self._duration, self._settling = samples, duration, settling
        self._maxima, self._charged = maxima or {}, {}
        flows: dict[str, Flow] = dict(shown)
        for op in self.graph.operations:
            if op.site is not None:
                arriving = flows[op.inputs[0]]
                flows[op.name], work = site(op, arriving)
                self._charge(op, work)
                self._charge(op, self._received(arriving, op.inputs, op.shape))
            else:
                flows[op.name] = self._passed(op, flows)
        for name in self.graph.outputs:
            answer, shape = flows[name], self._shapes[name]
            received = self._received(answer, [name], shape)
            received += Counts(bias_additions=samples * math.prod(shape) * answer.constant)
            self._charged[OUTPUT] = self._charged.get(OUTPUT, Counts()) + received
        return self._charged

    def _received(self, flow: Flow, names: Iterable[str], shape: tuple[int, ...]) -> Counts:
        """What neurons, or the answer, do to take in the flow of these values."""
        often = self._samples * self.trains.updates(names) * math.prod(shape)
        shifts = float(flow.part(Form.POWERS, shape).sum())
        return Counts(additions=flow.events(), shifts=shifts, updates=often)

    def _charge(self, op: Operation, counts: Counts) -> None:
        owner = self._owners[op.name]
        self._charged[owner] = self._charged.get(owner, Counts()) + counts

    def _passed(self, op: Operation, flows: Mapping[str, Flow]) -> Flow:
        signals = [flows[name] for name in op.inputs if flows[name].parts]
        route, flow = self._routes[op.name], signals[0] if signals else Flow(constant=True)
        match route:
            case None:
                return self._constant(op, flows)
            case Weighted():
                return self._weighted(op, route, flow)
            case Chosen():
                return self._chosen(op, route, {name: flows[name] for name in op.inputs})
            case Averaged():
                return self._averaged(op, route, flow)
            case Added():
                addends = [(name, flows[name]) for name in route.addends]
                if route.multiplied is not None:
                    _, numbers = addends[route.multiplied]
                    if not numbers.only_events:  # else what scales the spikes takes it in
                        addends[route.multiplied] = "", self._scaled(op, numbers.widened(op.shape))
                return self._added(op, addends, constant=route.constant)
            case Scaled():
                scaled = self._scaled(op, flow.widened(op.shape))
                return self._added(op, [("", scaled)], constant=True) if route.shifted else scaled
            case Multiplied():
                return self._multiplied(op, route, {name: flows[name] for name in op.inputs})
            case Moved():
                return self._moved(op, route, {name: flows[name] for name in op.inputs})
            case Begun():
                return self._result(op, Flow({Form.STEADY: torch.ones(1)}))

    def _constant(self, op: Operation, flows: Mapping[str, Flow]) -> Flow:
        """What no signal reaches; its value, of the one sample at hand, where values move by it."""
        if op.name not in self._moving:
            return Flow(constant=True)
        read = {name: flows[name].value for name in op.inputs}
        return Flow(constant=True, value=call(op, read, self.graph.tensors, 1))

    def _times(self, op: Operation, flow: Flow) -> float:
        """How often an operation computes a number of this flow, for all samples."""
        steps = self.trains.steps(op.inputs, self._duration) + self._settling
        return self._samples * (steps if flow.varies else 1)

    def _result(
        self, op: Operation, flow: Flow, *, constant: bool = False, times: float | None = None
    ) -> Flow:
        """Numbers at every element: as often as told; each step, or once when nothing varies."""
        if not flow.parts:
            return Flow(constant=True)
        form = Form.CURRENT if flow.varies else Form.STEADY
        times = self._times(op, flow) if times is None else times
        made = evenly(form, op.shape, times, constant=flow.constant or constant)
        if form is Form.STEADY:
            made = replace(made, parts={**made.parts, Form.PRESENT: made.parts[form]})
        return made

    def _weighted(self, op: Operation, route: Weighted, flow: Flow) -> Flow:
        if op.name not in self._fan_outs:
            self._fan_outs[op.name] = route.fan_out()
        reach, times = self._fan_outs[op.name], None
        if self._all_wait and Form.CURRENT in flow.parts:
            flow = self._added_up(op, flow)
            times = None if flow.parts.keys() & set(EVENTS) else float(self._samples)
        used = {form: float((values * reach).sum()) for form, values in flow.parts.items()}
        macs = used.get(Form.GRADED, 0.0) + used.get(Form.CURRENT, 0.0)
        counts = Counts(
            input_macs=used.get(Form.STEADY, 0.0),
            macs=macs,
            effective_macs=used.get(Form.PRESENT, 0.0) + macs,
            additions=used.get(Form.SPIKES, 0.0),
            shifts=used.get(Form.POWERS, 0.0),
        )
        self._charge(op, counts)
        return self._result(op, flow, constant=route.biased, times=times)

    def _added_up(self, op: Operation, flow: Flow) -> Flow:
        """Numbers of a window as their sum, which weights multiply once: none needs it earlier."""
        if op.inputs[0] not in self._held:  # else what unlike steps update is charged there
            sums = float((flow.parts[Form.CURRENT] > 0).sum()) * self._samples
            self._charge(op, Counts(updates=sums * self.trains.updates(op.inputs)))
        current = flow.parts[Form.CURRENT].clamp(max=self._samples)
        return replace(flow, parts={**flow.parts, Form.CURRENT: current})

    def _chosen(self, op: Operation, route: Chosen, flows: Mapping[str, Flow]) -> Flow:
        merged, shapes = summed(flows.values()), [self._shapes[name] for name in op.inputs]
        counts = {name: flow.counts for name, flow in flows.items()}
        counted = [rows for rows in counts.values() if rows is not None]
        if len(counted) == len(flows) and set(merged.parts) <= {Form.SPIKES, Form.POWERS}:
            spikes = [flows[name].part(Form.SPIKES, self._shapes[name]) for name in op.inputs]
            compared = float(route.windows(*spikes).sum())
            self._charge(op, Counts(updates=merged.events(), comparisons=compared))
            largest: Tensor = call(op, counts, {}, len(counted[0]))
            sent = self._maxima.get(op.name)
            if sent is None:
                sent = self.trains.spikes_of(op.name, largest).double().sum(0, keepdim=True)
            return spikes_and_powers(sent, sent * self.trains.powers(op.name), largest)
        constant, times = any(flow.constant for flow in flows.values()), self._times(op, merged)
        ones = [torch.ones(1, *shape, dtype=torch.float64) for shape in shapes]
        pairs = float(route.windows(*ones).sum()) - math.prod(op.shape)
        biased = times * sum(map(math.prod, shapes)) * constant * merged.varies
        self._charge(op, Counts(comparisons=pairs * times, bias_additions=biased))
        return self._result(op, replace(merged, constant=constant and not merged.varies))

    def _averaged(self, op: Operation, route: Averaged, flow: Flow) -> Flow:
        """Events are routed, numbers are added up; a factor common to all folds into weights."""
        moved = replace(flow, counts=None).moved(route.arriving)
        if flow.only_events:
            return moved if route.uniform else self._graded(op, moved)
        arrived = {form: float(values.sum()) for form, values in moved.parts.items()}
        added = sum(arrived.get(form, 0.0) for form in (Form.CURRENT, Form.STEADY, *EVENTS))
        factors, shifts = 0.0 if route.uniform else added, arrived.get(Form.POWERS, 0.0)
        self._charge(op, Counts(additions=added, shifts=shifts, scale_multiplications=factors))
        return self._result(op, flow)

    def _graded(self, op: Operation, flow: Flow) -> Flow:
        """Events multiplied by a factor that differs between them."""
        self._charge(op, Counts(scale_multiplications=flow.events()))
        values = sum(flow.parts[form] for form in EVENTS if form in flow.parts)
        return Flow({Form.GRADED: values}) if flow.parts else flow

    def _scaled(self, op: Operation, flow: Flow) -> Flow:
        if flow.only_events:
            return self._graded(op, flow)
        numbers = math.prod(op.shape) * self._times(op, flow)
        self._charge(op, Counts(scale_multiplications=numbers))
        return self._result(op, flow)

    def _multiplied(self, op: Operation, route: Multiplied, flows: Mapping[str, Flow]) -> Flow:
        """Spikes meet held counts; numbers are multiplied."""
        if op.name not in self._partners:
            self._partners[op.name] = route.partners()
        partners = self._partners[op.name]
        merged = Flow({form: torch.zeros(()) for flow in flows.values() for form in flow.parts})
        times = self._times(op, merged)
        if not all(flow.only_events for flow in flows.values()):
            pairs = sum(float(met.sum()) for met in partners.values()) / 2  # seen from either side
            self._charge(op, Counts(macs=times * pairs, effective_macs=times * pairs))
            return self._result(op, merged)

        def met(form: Form) -> float:
            sent = {name: flow.part(form, self._shapes[name]) for name, flow in flows.items()}
            return sum(float((sent[name] * partners[name]).sum()) for name in flows)

        held = sum(math.prod(self._shapes[name]) for name in flows) + math.prod(op.shape)
        counts = Counts(
            held_updates=sum(flow.events() for flow in flows.values()),
            held_additions=met(Form.SPIKES),
            shifts=met(Form.POWERS),
            macs=met(Form.GRADED),
            effective_macs=met(Form.GRADED),
            updates=self._samples * self.trains.updates(op.inputs) * held,
        )
        self._charge(op, counts)
        events = {
            name: flow.part(Form.SPIKES, shape) + flow.part(Form.GRADED, shape)
            for name, flow in flows.items()
            for shape in (self._shapes[name],)
        }
        return Flow({Form.CURRENT: route.arriving(events).clamp(max=times)})

    def _added(self, op: Operation, addends: Iterable[tuple[str, Flow]], *, constant: bool) -> Flow:
        """A sum of branches; those that still accumulate take the others in where they stand."""
        flows = [(name, flow.widened(op.shape)) for name, flow in addends]
        merged = summed(flow for _, flow in flows)
        merged = replace(merged, constant=constant or any(flow.constant for _, flow in flows))
        if merged.only_events:
            return merged
        numbers = [
            name
            for name, flow in flows
            if (flow.varies or not merged.varies) and not set(flow.parts) <= {*EVENTS, Form.POWERS}
        ]
        taken_in = max(1, sum(name in self._accumulators for name in numbers))
        extra = max(0, len(numbers) - taken_in) * math.prod(op.shape) * self._times(op, merged)
        self._charge(op, Counts(additions=merged.events() + extra))
        return self._result(op, merged, constant=merged.varies and Form.STEADY in merged.parts)

    def _moved(self, op: Operation, route: Moved, flows: Mapping[str, Flow]) -> Flow:
        forms = {form for flow in flows.values() for form in flow.parts}
        places = {name: at for name, flow in flows.items() if (at := flow.places) is not None}
        parts: dict[Form, Any] = {}
        for form in forms:
            shown = {name: flow.part(form, self._shapes[name]) for name, flow in flows.items()}
            parts[form] = route.move({**shown, **places})
        counts = {name: flow.counts for name, flow in flows.items()}
        known = route.counted and all(c is not None for c in counts.values())
        added = any(flow.constant for name, flow in flows.items() if name not in places)
        return Flow(parts, route.move(counts) if known else None, bool(route.constant) or added)
