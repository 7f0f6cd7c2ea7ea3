"""The step engine of spike tracers, each time step of the whole network one compiled function.

A tracer's spike depends on all that arrived so far, and what arrives is linear in what was sent. So
a value on an edge is its sum over the steps so far, the state of a layer is its counts so far, and
a step is a forward pass on counts that have moved by one: there are no potentials, and maxima and
products need no memory of what they saw. With n = min(t, T) steps of input, an operation
`A(x) = W x + c` gives `A(counts) + (n - 1) c`, and a product of sums is divided by T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor, fx

from spikewright.graph.accumulated import degree_of
from spikewright.graph.evaluate import call
from spikewright.graph.inputs import Batch, batch_of, named, tensors_of
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.units import applies_function
from spikewright.network.compiled_engine import CompiledEngine, Ran
from spikewright.network.compiler import StraightLine, channels_last, compiled, kept_in, row
from spikewright.network.plan import SILENT, Observer, Plan, summed
from spikewright.network.rest import added_constants
from spikewright.network.stages import constant_in_time, steady_inputs
from spikewright.neurons import LayerLaw, SpikeTracer
from spikewright.neurons.counter_random import (
    StepDraws,
    layer_keys,
    neuron_words,
    site_keys,
    step_words,
)
from spikewright.neurons.rounding import ROUNDING_DRAW

_OF_INPUT, _WINDOW, _LEVELS = "steps of input", "window", "levels"
"""Names of n, T and L among the inputs of a compiled step."""


class CompiledTracers(CompiledEngine):
    """The compiled time step of one network of spike tracers."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        graph = plan.sum_graph
        self._constant = constant_in_time(graph)
        sites = [_site_of(op) for op in graph.neurons]
        self._site_keys = site_keys(sites, torch.device("cpu"))
        self._steps: dict[tuple[str, ...], Callable[..., Any]] = {}

    @staticmethod
    def serves(plan: Plan) -> bool:
        """Whether all neurons of a network are spike tracers."""
        return bool(plan.neurons) and all(type(n) is SpikeTracer for n in plan.neurons.values())

    @staticmethod
    def graph_of(plan: Plan) -> Graph:
        return plan.sum_graph

    @staticmethod
    def _fixed_of(plan: Plan) -> list[Tensor]:
        graph = plan.sum_graph
        thresholds = [plan.thresholds[_site_of(op)] for op in graph.neurons]
        like = thresholds[0]
        words = [neuron_words(op.shape, like.device)[None] for op in graph.neurons]
        shifts = [
            plan.corrections.get(_site_of(op), torch.zeros_like(theta))
            for op, theta in zip(graph.neurons, thresholds, strict=True)
        ]
        potentials = [
            plan.potentials.get(_site_of(op), torch.zeros_like(theta))
            for op, theta in zip(graph.neurons, thresholds, strict=True)
        ]
        return [
            *(channels_last(word)[0] for word in words),
            *(1 / theta for theta in thresholds),
            *shifts,
            *potentials,
            *map(channels_last, graph.tensors.values()),
        ]

    def _run(
        self, plan: Plan, x: Batch, seed: int, sample_ids: Tensor, observer: Observer = SILENT
    ) -> Ran:
        graph, batch = plan.sum_graph, len(x)
        shown = batch_of([channels_last(tensor) for tensor in tensors_of(x)])
        steady: dict[str, Any] = dict(named(graph.inputs, shown))
        for op in self._constant:
            steady[op.name] = call(op, steady, graph.tensors, batch)
        added = {
            name: channels_last(torch.where(value.isfinite(), value, 0.0))
            for name, value in added_constants(graph, shown).items()
            if name not in steady
        }
        step = self._step_adding(plan, tuple(added))
        like = next(iter(plan.thresholds.values()))
        counts = [channels_last(like.new_zeros(batch, *op.shape)) for op in graph.neurons]
        keys = layer_keys(seed, self._site_keys.to(x.device), sample_ids)
        fixed = [
            *(steady[name] for name in steady_inputs(graph)),
            *added.values(),
            *step_words(keys, ROUNDING_DRAW),
            like.new_tensor(plan.total_weight),
            like.new_tensor(float(plan.steps)),
            *self._fixed_for(plan),
        ]
        sent = torch.zeros(len(counts), batch, dtype=torch.float64, device=x.device)
        settled = torch.full_like(sample_ids, plan.duration)
        outputs = [steady.get(name, sent) for name in graph.outputs]
        for time in _times(plan):
            n = min(time, plan.duration)
            *sums, spikes, owes = step(*counts, like.new_tensor(float(n)), *fixed)
            sums = iter(sums)
            outputs = [steady[m] if m in steady else next(sums) / n for m in graph.outputs]
            sent += spikes
            if time > plan.duration:
                settled[spikes.sum(0) > 0] = time
            if observer.answer is not None:
                observer.answer(time, tuple(outputs))
            if time >= plan.duration and not bool(owes):
                break
        return Ran(outputs, list(sent), settled)

    def _step_adding(self, plan: Plan, added: tuple[str, ...]) -> Callable[..., Any]:
        """The compiled step of a network in which these operations add constants."""
        if added not in self._steps:
            self._steps[added] = compiled(tracing_module(plan, added), dynamic=False)
        return self._steps[added]


def _times(plan: Plan) -> Iterator[int]:
    """The time steps of a window, and those in which tracers may settle."""
    settling = plan.settling
    return count(1) if settling is None else iter(range(1, plan.duration + settling + 1))


def tracing_module(plan: Plan, added: Sequence[str]) -> fx.GraphModule:
    """One time step of a network of spike tracers, as a module of straight-line code.

    Its forward takes the counts so far of each site, n, the steady values that it reads, the
    constants of the operations `added`, the two words `[sites, B]` that random draws are keyed by,
    T, L, and `CompiledTracers._fixed_of`. It changes the counts in place, and returns the outputs
    that vary in time as sums so far, the spikes that each sample sent at each site `[sites, B]`,
    and whether any neuron owes another one.
    """
    graph = plan.sum_graph
    units, steady = graph.neurons, steady_inputs(graph)
    names = [op.name for op in units]
    state = [f"counts:{name}" for name in names]
    constants = [f"constant:{name}" for name in added]
    forms = ("neurons", "gain", "shift", "potential")
    of_unit = [f"{form}:{name}" for form in forms for name in names]
    given = [*state, _OF_INPUT, *steady, *constants, "low", "high", _WINDOW, _LEVELS, *of_unit]
    line = StraightLine(given, list(graph.tensors), state[0])
    fixed = {op.name for op in constant_in_time(graph)}
    ports = {port.name for port in graph.inputs if port.dtype is None}
    signals = ports | {op.name for op in graph.operations if op.kind is not Kind.CONSTANT}
    for name in steady:
        if name in signals:
            line.values[name] = line.call(torch.mul, line.values[name], line.values[_OF_INPUT])
    more = line.call(torch.sub, line.values[_OF_INPUT], 1)
    sent: list[fx.Node] = []
    owed: list[fx.Node] = []
    for op in graph.operations:
        if op.name in fixed:
            continue
        if op.site is not None:
            words = [line.call(row, line.values[w], names.index(op.name)) for w in ("low", "high")]
            told = [line.values[f"{form}:{op.name}"] for form in forms]
            arrived = line.call(
                _arrived, line.values[op.inputs[0]], line.values[_OF_INPUT], *told[2:]
            )
            value = arrived
            if applies_function(op):
                mean = line.call(torch.div, arrived, line.values[_OF_INPUT])
                value = line.call(torch.mul, line.applied(op, mean), line.values[_OF_INPUT])
            before = line.values[f"counts:{op.name}"]
            moving = _moving(plan, op)
            moved = line.call(moving, value, before, *told[:2], line.values[_LEVELS], *words)
            now, spikes, owes = line.parts(moved, 3)
            line.values[op.name] = line.call(kept_in, before, now)
            sent.append(spikes)
            owed.append(owes)
            continue
        line.run(op)
        if op.name in added:
            scaled = line.call(torch.mul, line.values[f"constant:{op.name}"], more)
            line.values[op.name] = line.call(torch.add, line.values[op.name], scaled)
        for _ in range(degree_of(op) - 1 if op.kind is Kind.PRODUCT else 0):
            line.values[op.name] = line.call(torch.div, line.values[op.name], line.values[_WINDOW])
    outputs = [line.values[name] for name in graph.outputs if name not in fixed | ports]
    return line.module([*outputs, line.call(torch.stack, sent), line.call(_any, owed)])


def _moving(plan: Plan, op: Operation) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """A layer as a function of tensors: its counts, spikes by sample, and whether it owes more."""
    neuron, signed = plan.neurons[_site_of(op)], _site_of(op) in plan.signed
    assert isinstance(neuron, SpikeTracer)

    def moved(
        value: Tensor,
        before: Tensor,
        neurons: Tensor,
        gain: Tensor,
        levels: Tensor,
        low: Tensor,
        high: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        layer = LayerLaw(levels, StepDraws(low, high, neurons), value.new_empty(0), signed)
        target = neuron.target(value * gain, layer)
        spikes = (target - before).clamp(-1, 1)
        now = before + spikes
        # of at most one a neuron exact in the values' own dtype, or too large to matter
        owes = ((target - now).abs() > 0).to(value.dtype)  # NaN has no spike to send
        sent, owed = (summed(v, dtype=None) for v in (spikes.abs(), owes))
        return now, sent, owed

    return moved


def _arrived(value: Tensor, steps: Tensor, shift: Tensor, potential: Tensor) -> Tensor:
    return value + steps * shift + potential


def _any(owed: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(owed)).sum()


def _site_of(op: Operation) -> str:
    assert op.site is not None
    return op.site.name
