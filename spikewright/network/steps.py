"""The step engine: every time step of every neuron, as a batch of T * B; the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any

import torch
from torch import Tensor

from spikewright.devices import where_float64_is
from spikewright.graph.accumulated import Accumulated
from spikewright.graph.evaluate import call, last_uses
from spikewright.graph.inputs import Batch, named
from spikewright.graph.ir import Kind, Operation
from spikewright.network.chunks import added, repeated, time_chunk
from spikewright.network.frames import are_frames, mean_image, samples_in
from spikewright.network.plan import SILENT, Observer, Plan
from spikewright.network.rest import Rest
from spikewright.network.stages import Stage, constant_in_time, longest_path, stages_of
from spikewright.neurons import Dynamics, StreamingDynamics, WaitingDynamics

MEMORY_BUDGET = 64 << 20
"""Bytes of activations a time chunk may take, by default: small, so that caches help."""


def run_steps(
    plan: Plan,
    x: Batch,
    *,
    seed: int,
    sample_ids: Tensor,
    observer: Observer = SILENT,
    memory_budget: int = MEMORY_BUDGET,
) -> tuple[Tensor, ...]:
    """The outputs, as weighted means over time, of a network of any neurons.

    Args:
        plan: the network at one T.
        x: a batch of all inputs, presented at every step, or frames `[T, B, *S]`, one a step of
            weight 1.
        seed: of the random draws.
        sample_ids: int64 `[B]`.
        observer: what to watch.
        memory_budget: bytes; time chunks are cut so that a chunk's activations stay below it. How
            time is cut changes no state and no draw.
    """
    return _StepRun(plan, x, seed, sample_ids, observer, memory_budget).run()


@dataclass
class _Pass:
    """What one run through the window keeps from a chunk of time to the next.

    Attributes:
        stage: which run it is.
        before: time steps of the stages before it.
        outputs: those of earlier stages, and those that are read in it, as means so far.
        streaming: one-phase layers, by operation.
        sums: maxima and products, alike.
        totals: weighted sums of the outputs so far.
        weight: of the steps so far, up to that of a window.
    """

    stage: Stage
    before: int
    outputs: dict[str, Tensor]
    streaming: dict[str, StreamingDynamics] = field(default_factory=dict[str, StreamingDynamics])
    sums: dict[str, Accumulated] = field(default_factory=dict[str, Accumulated])
    totals: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    weight: float = 0.0

    @property
    def owes(self) -> bool:
        """Whether any layer will send more though its input is over."""
        return any(dynamics.owes for dynamics in self.streaming.values())


class _StepRun:
    """One simulation; one use."""

    def __init__(
        self,
        plan: Plan,
        x: Batch,
        seed: int,
        sample_ids: Tensor,
        observer: Observer,
        memory_budget: int,
    ) -> None:
        graph = plan.step_graph
        self._plan = plan
        self._frames = x if are_frames(x, graph) else None
        self._shown = x
        self._batch = samples_in(graph, x)
        self._seed = seed
        self._sample_ids = sample_ids
        self._observer = observer
        self._weights: list[float] = plan.weights.tolist()
        self._waiting: dict[str, WaitingDynamics] = {}
        self._charges: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._sent: dict[str, Tensor] = {}
        self._latency = sum(longest_path(plan.source, plan.neurons, plan.steps))
        self._settled = torch.full_like(sample_ids, self._latency)
        self._reported: set[str] = set()
        self._chunk = time_chunk(graph, self._batch, plan.duration, memory_budget)
        shown = {} if self._frames is not None else dict(named(graph.inputs, x))
        self._steady: dict[str, Any] = shown
        for op in constant_in_time(graph, frames=self._frames is not None):
            self._steady[op.name] = call(op, self._steady, graph.tensors, self._batch)
        self._alike = {
            name
            for name, value in self._steady.items()
            if isinstance(value, Tensor)
            and (value.ndim == len(graph.shapes[name]) or len(value) != self._batch)
        }  # constants without a row a sample

    def run(self) -> tuple[Tensor, ...]:
        graph, frames = self._plan.step_graph, self._frames is not None
        stages = stages_of(graph, self._plan.neurons, frames=frames)
        outputs: dict[str, Tensor] = {}
        for number, stage in enumerate(stages):
            self._run_stage(stage, outputs, number * self._plan.duration)
            later = frozenset[str]().union(*(s.emitting for s in stages[number + 1 :]))
            self._waiting = {name: d for name, d in self._waiting.items() if name in later}
        if self._observer.settled is not None:
            self._observer.settled(self._settled)
        return tuple(outputs[name] for name in graph.outputs)

    def _run_stage(self, stage: Stage, outputs: dict[str, Tensor], before: int) -> None:
        """Run through the window once, and add the outputs that are read in it to `outputs`."""
        duration, settling = self._plan.duration, self._plan.settling
        outputs |= {name: self._steady[name] for name in stage.outputs if name in self._steady}
        for name in stage.emitting:
            self._waiting[name].rewind()
        kept = _Pass(stage, before, outputs)
        for start in range(0, duration, self._chunk):
            self._run_chunk(kept, start, min(self._chunk, duration - start))
        if settling != 0:
            still = mean_image(self._plan.step_graph, self._shown)
            self._rest = Rest(self._plan.step_graph, self._steady, still)
            steps = count(duration) if settling is None else range(duration, duration + settling)
            for start in takewhile(lambda _: kept.owes, steps):
                self._rest.begin_step()
                self._run_chunk(kept, start, 1)
        self._report(stage, kept.streaming)

    def _run_chunk(self, kept: _Pass, start: int, steps: int) -> None:
        """Run `steps` time steps, and bring the outputs up to date."""
        graph, stage = self._plan.step_graph, kept.stage
        varying = stage.outputs - self._steady.keys()
        freed = last_uses(stage.operations, varying | set(self._steady))
        values: dict[str, Any] = {}
        if self._frames is not None:
            shown = self._frames[start : start + steps]
            values[graph.signal.name] = (
                torch.zeros_like(self._frames[0]) if self._rests(start) else shown.flatten(0, 1)
            )
        for op in stage.operations:
            values[op.name] = self._advance(op, kept, values, start, steps)
            self._show(op, stage, start, steps, values)
            for name in freed[op.name]:
                values.pop(name, None)
        given = {n: values[n].reshape(steps, self._batch, *graph.shapes[n]) for n in varying}
        for step, weight in enumerate(self._plan.weights_at(start, steps).tolist()):
            kept.weight = min(kept.weight + weight, self._plan.total_weight)
            for name, steps_of in given.items():
                now = steps_of[step : step + 1]
                kept.totals[name] = added(kept.totals.get(name), now, [weight])
            self._tell_answer(kept, kept.before + start + step + 1)
        whole = self._plan.total_weight
        kept.outputs |= {name: total / whole for name, total in kept.totals.items()}

    def _tell_answer(self, kept: _Pass, time: int) -> None:
        """Tell the observer of the answer so far, once all outputs have begun.

        Where windows differ there is no mean so far: some trains are over before others.
        """
        plan = self._plan
        names = plan.step_graph.outputs
        if self._observer.answer is None or not kept.weight:
            return
        if not plan.shares_steps:
            if kept.weight < plan.total_weight:
                return
            time = self._latency
        means = {name: total / kept.weight for name, total in kept.totals.items()}
        known = {**kept.outputs, **means}
        if all(name in known for name in names):
            self._observer.answer(time, tuple(known[name] for name in names))

    def _rests(self, start: int) -> bool:
        """Whether the input is over at a step."""
        return start >= self._plan.duration

    def _advance(
        self, op: Operation, kept: _Pass, values: dict[str, Any], start: int, steps: int
    ) -> Any:
        """The value of an operation over the steps of a chunk, `[steps * B, *S]`."""
        if op.name in kept.stage.emitting:
            spikes = self._emit(op, start, steps)
            return self._plan.emitted(_site_of(op), start, spikes).flatten(0, 1)
        steady = self._rest.steady if self._rests(start) else self._steady
        for name in op.inputs:
            if name not in values:
                alike = name in self._alike
                values[name] = steady[name] if alike else repeated(steady[name], steps)
        neurons = kept.streaming.get(op.name)
        if self._rests(start) and self._rest.is_silent(op, neurons):
            nothing = self._rest.nothing(op, self._batch)
            if neurons is not None:
                self._watch(op, start, nothing[None])
            return nothing
        if op.kind is Kind.UNIT:
            (current,) = (values[name] for name in op.inputs)
            current = current.reshape(steps, self._batch, *op.shape)
            return self._integrate(op, current, start, kept)
        tensors = self._plan.step_graph.tensors
        if op.kind in (Kind.MAX, Kind.PRODUCT):
            running = kept.sums.setdefault(op.name, Accumulated(op, tensors, self._weights))
            read = (values[name] for name in op.inputs)
            rows = (value.expand(steps * self._batch, *value.shape[1:]) for value in read)
            inputs = [value.unflatten(0, (steps, self._batch)) for value in rows]
            weights = self._plan.weights_at(start, steps).tolist()
            return running.advance(inputs, weights).flatten(0, 1)
        if self._rests(start):
            return self._rest.passes(op, values, self._batch)
        return call(op, values, tensors, steps * self._batch)

    def _show(
        self, op: Operation, stage: Stage, start: int, steps: int, values: Mapping[str, Any]
    ) -> None:
        """Tell the observer of an operation that ran."""
        if self._observer.ran is None or op.name in stage.absorbing:
            return
        emits = op.name in stage.emitting
        read = ((values[name], name in self._alike) for name in op.inputs if not emits)
        inputs = tuple(repeated(value, steps) if alike else value for value, alike in read)
        self._observer.ran(op, start, steps, inputs, values[op.name])

    def _integrate(self, op: Operation, current: Tensor, start: int, kept: _Pass) -> Tensor | None:
        """Feed a layer `[t, B, *S]` of current; a one-phase layer answers with its spikes."""
        site = _site_of(op)
        if not self._rests(start):
            current = self._plan.corrected(site, current)
        share = self._plan.levels[site] / self._plan.total_weight
        weights = self._plan.weights_at(start, len(current)) * share
        if self._observer.layer is not None and op.name not in self._reported:
            self._charges[op.name] = added(self._charges.get(op.name), current, weights.tolist())
        if op.name in kept.stage.absorbing:
            self._absorb(op, current, weights, start)
            return None
        neurons = kept.streaming.get(op.name)
        if neurons is None:
            neurons = kept.streaming[op.name] = self._started(op, StreamingDynamics)
        spikes = neurons.advance(current)
        if self._rests(start):
            self._rest.sent(op, spikes)
        self._watch(op, start, spikes)
        return spikes.flatten(0, 1)

    def _absorb(self, op: Operation, current: Tensor, weights: Tensor, start: int) -> None:
        waiting = self._waiting.get(op.name)
        if waiting is None:
            waiting = self._waiting[op.name] = self._started(op, WaitingDynamics)
        site = _site_of(op)
        if op.inputs[0] in self._steady and self._plan.neurons[site].has_count_law:
            if start == 0:  # the same current at every step: L times it, as the count law has it
                whole = torch.tensor([self._plan.levels[site]], dtype=torch.float32)
                waiting.absorb(current[:1], whole)
        else:
            waiting.absorb(current, weights)

    def _started(self, op: Operation, kind: type[Any]) -> Any:
        site = _site_of(op)
        layer = self._plan.layer(site, self._seed, self._sample_ids)
        dynamics = self._plan.neurons[site].start(layer)
        assert isinstance(dynamics, kind)
        return dynamics

    def _emit(self, op: Operation, start: int, steps: int) -> Tensor:
        """The spikes of a layer that waited, `[steps, B, *S]`; none after its own window."""
        site = _site_of(op)
        own = min(steps, len(self._plan.factors[site]) - start)
        spikes = self._waiting[op.name].emit(own) if own > 0 else None
        if spikes is not None:
            self._watch(op, start, spikes)
            if own == steps:
                return spikes
        train = self._plan.thresholds[site].new_zeros(steps, self._batch, *op.shape)
        if spikes is not None:
            train[:own] = spikes
        return train

    def _watch(self, op: Operation, start: int, spikes: Tensor) -> None:
        """Tell the observer of spikes, the first time this train is emitted."""
        if op.name in self._reported:
            return
        if self._observer.spikes is not None:
            self._observer.spikes(op, start, spikes)
        if self._rests(start) and self._observer.settled is not None:
            sending = spikes.abs().flatten(2).sum((0, 2)) > 0
            self._settled[sending] = start + len(spikes)
        if self._observer.sent is not None:
            fired = where_float64_is((spikes != 0).flatten(2))
            sent = fired.sum((0, 2), dtype=torch.float64)
            self._sent[op.name] = sent + self._sent.get(op.name, 0.0)
        if self._observer.layer is not None:
            weights = self._plan.spike_weights(_site_of(op), start, len(spikes)).tolist()
            self._counts[op.name] = added(self._counts.get(op.name), spikes, weights)

    def _report(self, stage: Stage, streaming: Mapping[str, StreamingDynamics]) -> None:
        """Tell the observer of layers that finished their first emission in this stage."""
        running: dict[str, Dynamics] = {
            **{name: self._waiting[name] for name in stage.emitting},
            **streaming,
        }
        for op in stage.operations:
            if op.name not in running or op.name in self._reported:
                continue
            self._reported.add(op.name)
            if self._observer.sent is not None:
                self._observer.sent(op, self._sent.pop(op.name))
            if self._observer.layer is not None:
                charge, sent = self._charge(op), self._counts.pop(op.name)
                self._observer.layer(op, charge, sent, running[op.name].residual)

    def _charge(self, op: Operation) -> Tensor:
        """The total charge that a site took in, in counts."""
        site, plan = _site_of(op), self._plan
        total = self._charges.pop(op.name) + plan.potentials.get(site, 0.0)
        if plan.functions[site] is None:
            return total / plan.thresholds[site]
        return plan.rounded(site, total / plan.levels[site]) * plan.gain(site)


def _site_of(op: Operation) -> str:
    assert op.site is not None
    return op.site.name
