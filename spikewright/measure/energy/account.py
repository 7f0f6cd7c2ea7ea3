"""The account of a network: one walk over its graph, each operation charged for what it does.

An event is sent along every connection and adds to the potential at its end; pooling, views and
concatenation only route it. So what a spike costs is the number of ways from its neuron to the
next neurons, exact at borders, and two rules of thumb follow: sums that end in one potential are
not added a second time, and what is constant in time is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.graph import Graph, Kind, Operation
from spikewright.graph.evaluate import call
from spikewright.graph.ir import Value
from spikewright.graph.operations import PLANE_MEANS, argument, reads_data
from spikewright.measure.energy import structure
from spikewright.measure.energy.counts import Counts
from spikewright.measure.energy.flow import EVENTS, Flow, Form, evenly
from spikewright.measure.energy.routes import (
    FACTORS,
    MOVES,
    OUTPUT,
    PADS,
    REDUCTIONS,
    SUMS,
    owners,
)
from spikewright.measure.energy.structure import WEIGHTED, PlaneMap, size_of

aten = torch.ops.aten

SiteRule = Callable[[Operation, Flow], tuple[Flow, Counts]]
"""What a site sends when a flow arrives, and the work of its neurons."""


class Account:
    """Charges operations to sites; holds the connections of one graph, found once.

    Args:
        graph: scales folded for a spiking network; as captured for its source.
        duration: steps of a window; 1 for the source.
        weighed: whether spikes of different steps weigh differently. The receiving potential is
            then updated at every step (doubled for the binary code, `v <- 2 v + z`; added to a
            second sum for first spikes), so that synapses still only add.
    """

    def __init__(self, graph: Graph, duration: int, *, weighed: bool = False) -> None:
        self.graph = graph
        self.duration = duration
        self._weighed = weighed
        self._shapes = {graph.input: graph.input_shape}
        self._shapes |= {op.name: op.shape for op in graph.operations}
        self._owners = owners(graph)
        readers = graph.consumers()
        self._accumulators = {
            op.name
            for op in graph.operations
            if (op.target in WEIGHTED or op.target in SUMS) and len(readers[op.name]) == 1
        }
        self._fan_outs: dict[str, Tensor] = {}
        self._planes: dict[str, PlaneMap] = {}
        self._spikes_of: Callable[[Tensor], Tensor] = lambda count: count
        self._samples = 0
        self._charged: dict[str, Counts] = {}

    def walk(
        self, shown: Flow, samples: int, site: SiteRule, spikes_of: Callable[[Tensor], Tensor]
    ) -> dict[str, Counts]:
        """Operations by site, and of the output, for a batch.

        Args:
            shown: the input.
            samples: in the batch.
            site: what neurons send.
            spikes_of: spikes that carry counts.
        """
        self._samples, self._spikes_of, self._charged = samples, spikes_of, {}
        flows: dict[str, Flow] = {self.graph.input: shown}
        for op in self.graph.operations:
            if op.site is not None:
                arriving = flows[op.inputs[0]]
                flows[op.name], work = site(op, arriving)
                self._charge(op, work)
                self._charge(op, self._received(arriving, op.shape))
            else:
                flows[op.name] = self._passed(op, flows)
        answer = flows[self.graph.output]
        shape = self._shapes[self.graph.output]
        told = self._received(answer, shape)
        told += Counts(bias_additions=samples * size_of(shape) * answer.constant)
        self._charged[OUTPUT] = self._charged.get(OUTPUT, Counts()) + told
        return self._charged

    def _received(self, flow: Flow, shape: tuple[int, ...]) -> Counts:
        """What neurons, or the answer, do to take in a flow."""
        often = self._times(flow) * size_of(shape) * (self._weighed and flow.varies)
        return Counts(additions=flow.events(), updates=often)

    def _charge(self, op: Operation, counts: Counts) -> None:
        owner = self._owners[op.name]
        self._charged[owner] = self._charged.get(owner, Counts()) + counts

    def _passed(self, op: Operation, flows: Mapping[str, Flow]) -> Flow:
        if op.kind is Kind.CONSTANT:
            return Flow(constant=True)
        if op.target in WEIGHTED:
            return self._weighted(op, flows[op.inputs[0]])
        if op.kind is Kind.MAX:
            return self._max_pooled(op, flows[op.inputs[0]])
        if op.target in PLANE_MEANS or op.target in REDUCTIONS:
            return self._averaged(op, flows[op.inputs[0]])
        if op.target in SUMS:
            addends = [leaf for leaf in op.args[:2] if isinstance(leaf, Value)]
            constant = any(not reads_data(leaf) and leaf != 0 for leaf in op.args[:2])
            return self._added(op, [(v.name, flows[v.name]) for v in addends], constant=constant)
        if op.target in FACTORS:
            return self._scaled(op, flows[op.inputs[0]])
        if op.target is aten.neg.default:
            return replace(flows[op.inputs[0]], counts=None)
        if op.target in MOVES:
            return self._moved(op, flows)
        raise AnalysisError(
            f"the operations of {op.operator} ({op.module or 'the model itself'}, {op.source}) are "
            "not counted yet: replace it in the model, or report it"
        )

    def _times(self, flow: Flow) -> float:
        """How often a number is computed where this flow leads, for all samples."""
        return self._samples * (self.duration if flow.varies else 1)

    def _result(self, op: Operation, flow: Flow, *, constant: bool = False) -> Flow:
        """Numbers at every element: each step, or once when nothing varies."""
        if not flow.parts:
            return Flow(constant=True)
        form = Form.CURRENT if flow.varies else Form.STEADY
        made = evenly(form, op.shape, self._times(flow), constant=flow.constant or constant)
        if form is Form.STEADY:
            made = replace(made, parts={**made.parts, Form.PRESENT: made.parts[form]})
        return made

    def _weighted(self, op: Operation, flow: Flow) -> Flow:
        if op.name not in self._fan_outs:
            shape = self._shapes[op.inputs[0]]
            self._fan_outs[op.name] = structure.fan_out(op, shape, self.graph.tensors)
        reach = self._fan_outs[op.name]
        used = {form: float((values * reach).sum()) for form, values in flow.parts.items()}
        macs = used.get(Form.GRADED, 0.0) + used.get(Form.CURRENT, 0.0)
        counts = Counts(
            input_macs=used.get(Form.STEADY, 0.0),
            macs=macs,
            effective_macs=used.get(Form.PRESENT, 0.0) + macs,
            additions=used.get(Form.SPIKES, 0.0),
        )
        self._charge(op, counts)
        return self._result(op, flow, constant=structure.biased(op, self.graph.tensors))

    def _max_pooled(self, op: Operation, flow: Flow) -> Flow:
        if op.name not in self._planes:
            self._planes[op.name] = structure.window_map(op, self._shapes[op.inputs[0]])
        windows = self._planes[op.name]
        if flow.counts is not None and set(flow.parts) <= {Form.SPIKES}:
            spikes = flow.part(Form.SPIKES, self._shapes[op.inputs[0]])
            compared = float(windows(spikes).sum())
            self._charge(op, Counts(updates=float(spikes.sum()), comparisons=compared))
            counts: Tensor = call(op, {op.inputs[0]: flow.counts}, {}, len(flow.counts))
            sent = self._spikes_of(counts).sum(0, keepdim=True, dtype=torch.float64)
            return Flow({Form.SPIKES: sent}, counts)
        shape = self._shapes[op.inputs[0]]
        pairs = float(windows(torch.ones(1, *shape, dtype=torch.float64)).sum()) - size_of(op.shape)
        times = self._times(flow)
        biased = times * size_of(shape) * flow.constant * flow.varies
        self._charge(op, Counts(comparisons=pairs * times, bias_additions=biased))
        return self._result(op, replace(flow, constant=flow.constant and not flow.varies))

    def _averaged(self, op: Operation, flow: Flow) -> Flow:
        """Events are routed, their common factor folding into weights; numbers are added up."""
        source, uniform = op.inputs[0], True
        arriving: Callable[[Tensor], Tensor]
        if op.target in REDUCTIONS:
            dims, keep = argument(op, 1, "dim"), argument(op, 2, "keepdim", False)

            def summed(events: Tensor) -> Tensor:
                return events.sum(dims, keepdim=keep)

            arriving = summed
        else:
            if op.name not in self._planes:
                self._planes[op.name] = structure.mean_map(op, self._shapes[source])
            arriving, uniform = self._planes[op.name], self._planes[op.name].uniform
        moved = replace(flow, counts=None).moved(arriving)
        numbers = (Form.CURRENT, Form.STEADY)
        added = sum(float(moved.parts[form].sum()) for form in numbers if form in moved.parts)
        self._charge(op, Counts(additions=added))
        if not flow.only_events:
            self._charge(op, Counts(additions=moved.events()))
            return self._result(op, flow)
        return moved if uniform else self._graded(op, moved)

    def _graded(self, op: Operation, flow: Flow) -> Flow:
        """Events multiplied by a factor that differs between them."""
        self._charge(op, Counts(scale_multiplications=flow.events()))
        values = sum(flow.parts[form] for form in EVENTS if form in flow.parts)
        return Flow({Form.GRADED: values}) if flow.parts else flow

    def _scaled(self, op: Operation, flow: Flow) -> Flow:
        wide = self._widened(op, flow)
        if op.target is aten.addcmul.default:
            return self._added(op, [("", self._scaled_part(op, wide))], constant=True)
        return self._scaled_part(op, wide)

    def _scaled_part(self, op: Operation, flow: Flow) -> Flow:
        if flow.only_events:
            return self._graded(op, flow)
        numbers = size_of(op.shape) * self._times(flow)
        self._charge(op, Counts(scale_multiplications=numbers))
        return self._result(op, flow)

    def _added(self, op: Operation, given: Sequence[tuple[str, Flow]], *, constant: bool) -> Flow:
        """A sum of branches; those that still accumulate take the others in where they stand."""
        flows = [(name, self._widened(op, flow)) for name, flow in given]
        merged = _merged(flow for _, flow in flows)
        merged = replace(merged, constant=constant or any(flow.constant for _, flow in flows))
        if merged.only_events:
            return merged
        numbers = [
            name
            for name, flow in flows
            if (flow.varies or not merged.varies) and not set(flow.parts) <= set(EVENTS)
        ]
        taken_in = max(1, sum(name in self._accumulators for name in numbers))
        extra = max(0, len(numbers) - taken_in) * size_of(op.shape) * self._times(merged)
        self._charge(op, Counts(additions=merged.events() + extra))
        return self._result(op, merged, constant=merged.varies and Form.STEADY in merged.parts)

    def _widened(self, op: Operation, flow: Flow) -> Flow:
        """A flow broadcast to the shape of an operation's result."""

        def change(values: Tensor) -> Tensor:
            lead = [1] * (len(op.shape) + 1 - values.ndim)
            return values.reshape(len(values), *lead, *values.shape[1:]).expand(
                len(values), *op.shape
            )

        return replace(flow, counts=None).moved(change)

    def _moved(self, op: Operation, flows: Mapping[str, Flow]) -> Flow:
        """The operation itself moves the numbers of each form."""
        sources = {name: flows[name] for name in op.inputs}
        constant = any(flow.constant for flow in sources.values())
        if op.target in PADS:
            op, filled = _padded_by_zeros(op)
            constant = constant or filled
        stored = {name: self.graph.tensors[name].cpu() for name in op.stored}
        beside = {  # numbers that are moved along are constants, indices are what they are
            name: torch.zeros_like(t, dtype=torch.float64) if t.is_floating_point() else t
            for name, t in stored.items()
        }
        constant = constant or any(t.is_floating_point() for t in stored.values())
        forms = {form for flow in sources.values() for form in flow.parts}

        def moved(values: Mapping[str, Any]) -> Any:
            lead = next((len(v) for v in values.values() if isinstance(v, Tensor)), 1)
            return call(op, values, beside, lead)

        parts = {
            form: moved({n: flow.part(form, self._shapes[n]) for n, flow in sources.items()})
            for form in forms
        }
        counts = {name: flow.counts for name, flow in sources.items()}
        known = all(c is not None for c in counts.values())
        return Flow(parts, moved(counts) if known else None, constant)


def _merged(flows: Iterable[Flow]) -> Flow:
    parts: dict[Form, Tensor] = {}
    for flow in flows:
        for form, values in flow.parts.items():
            parts[form] = parts[form] + values if form in parts else values
    return Flow(parts)


def _padded_by_zeros(op: Operation) -> tuple[Operation, bool]:
    """The same padding with zeros, and whether it was with another constant."""
    if op.target is aten.pad.default and argument(op, 2, "mode", "constant") != "constant":
        return op, False
    place = 3 if op.target is aten.pad.default else 2
    value = argument(op, place, "value", 0)
    arguments = (op.args[0], argument(op, 1, "pad"))
    plain = replace(op, target=aten.constant_pad_nd.default, args=arguments, kwargs={})
    return plain, value not in (None, 0)
