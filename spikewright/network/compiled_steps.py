"""The step engine of one-phase networks, each time step of the whole network one compiled function.

The membrane potentials, one array a site, are changed in place; nothing else is kept in time, so
memory does not grow with T.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from spikewright.graph.accumulated import degree_of
from spikewright.graph.evaluate import apply, call
from spikewright.graph.inputs import Batch, batch_of, named, tensors_of
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.network.compiled_engine import CompiledEngine, Ran
from spikewright.network.compiler import StraightLine, channels_last, compiled, kept_in
from spikewright.network.plan import SILENT, Observer, Plan, spikes_per_sample
from spikewright.network.stages import constant_in_time, steady_inputs
from spikewright.neurons import Neuron

_ACCUMULATING = (Kind.MAX, Kind.PRODUCT)
_WINDOW = "window"
"""The name of T among the inputs of a compiled step."""


class CompiledSteps(CompiledEngine):
    """The compiled time step of one network."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        graph = plan.step_graph
        self._constant = constant_in_time(graph)
        self._with_state = _with_state(graph)
        self._steady_inputs = steady_inputs(graph)
        self._steps = {  # compiled when first called
            counting: compiled(step_module(plan, count_spikes=counting), dynamic=False)
            for counting in (False, True)
        }

    @staticmethod
    def serves(plan: Plan) -> bool:
        """Whether all neurons of a network are one-phase, with a step that is a pure function."""
        return bool(plan.neurons) and all(n.one_step is not None for n in plan.neurons.values())

    @staticmethod
    def graph_of(plan: Plan) -> Graph:
        return plan.step_graph

    @staticmethod
    def _fixed_of(plan: Plan) -> list[Tensor]:
        return [channels_last(tensor) for tensor in plan.step_graph.tensors.values()]

    def _run(
        self, plan: Plan, x: Batch, seed: int, sample_ids: Tensor, observer: Observer = SILENT
    ) -> Ran:
        graph = plan.step_graph
        shown = batch_of([channels_last(tensor) for tensor in tensors_of(x)])
        steady: dict[str, Any] = dict(named(graph.inputs, shown))
        for op in self._constant:
            steady[op.name] = call(op, steady, graph.tensors, len(x))
        fixed = [steady[name] for name in self._steady_inputs]
        like = next(iter(plan.thresholds.values()))
        state: list[Tensor] = []
        for op in self._with_state:
            if op.site is None:
                state += _nothing_yet(graph, op, like, len(x))
                continue
            layer = plan.layer(op.site.name, seed, sample_ids)
            potential, offset = plan.neurons[op.site.name].initial(layer)
            correction = plan.corrections.get(op.site.name)
            fixed += [layer.threshold, offset if correction is None else offset + correction]
            shape = (len(x), *op.shape)
            state.append(channels_last(potential.expand(shape).contiguous()))
        fixed += [like.new_tensor(plan.total_weight), *self._fixed_for(plan)]
        step = self._steps[observer.sent is not None]
        totals: list[Any] = [0.0] * len(_varying_outputs(graph))
        sent = like.new_zeros((), dtype=torch.float64)
        for time in range(1, plan.steps + 1):
            *outputs, spikes = step(*state, *fixed)
            totals = [total + output for total, output in zip(totals, outputs, strict=True)]
            sent = sent + spikes
            if observer.answer is not None:
                observer.answer(time, tuple(self._means(graph, totals, steady, time)))
        means = self._means(graph, totals, steady, plan.steps)
        return Ran(means, list(sent) if observer.sent is not None else [])

    @staticmethod
    def _means(
        graph: Graph, totals: Sequence[Tensor], steady: Mapping[str, Any], steps: int
    ) -> list[Tensor]:
        """The outputs of a graph, from sums over so many steps of those that vary."""
        sums = dict(zip(_varying_outputs(graph), totals, strict=True))
        return [sums[n] / steps if n in sums else steady[n] for n in graph.outputs]


def step_module(plan: Plan, *, count_spikes: bool) -> fx.GraphModule:
    """One time step of a network, as a module of straight-line code.

    Its forward takes the state (a potential for each site, what each maximum and product saw and
    gave so far), the steady values that it reads, a threshold and an offset of the current for each
    site, T, and the stored tensors. It changes the state in place, and returns the step's outputs
    that vary in time and, with `count_spikes`, the spikes that each sample sent at each site
    `[sites, B]` (else 0).
    """
    graph = plan.step_graph
    kept = _with_state(graph)
    state = [name for op in kept for name in _state_names(op)]
    layers = [f"{form}:{op.name}" for op in kept if op.site for form in ("threshold", "offset")]
    steady = steady_inputs(graph)
    line = StraightLine([*state, *steady, *layers, _WINDOW], list(graph.tensors), state[0])
    constant = {op.name for op in constant_in_time(graph)}
    sent: list[fx.Node] = []
    for op in graph.operations:
        if op.name in constant:
            continue
        if op.site is not None:
            neuron = plan.neurons[op.site.name]
            assert neuron.one_step is not None
            names = (f"threshold:{op.name}", f"offset:{op.name}")
            threshold, offset = (line.values[name] for name in names)
            current = line.call(torch.add, line.values[op.inputs[0]], offset)
            potential = line.values[f"potential:{op.name}"]
            emitted = line.call(neuron.one_step, potential, current, threshold)
            line.values[op.name], left = line.parts(emitted, 2)
            line.call(kept_in, potential, left)
            if count_spikes:
                sent.append(line.call(_sent_by(neuron), line.values[op.name]))
        elif op.kind in _ACCUMULATING:
            _accumulate(op, line)
        else:
            line.run(op)
    spikes = line.call(torch.stack, sent) if count_spikes else 0
    return line.module([*(line.values[name] for name in _varying_outputs(graph)), spikes])


def _varying_outputs(graph: Graph) -> list[str]:
    steady = {*(port.name for port in graph.inputs), *(op.name for op in constant_in_time(graph))}
    return [name for name in graph.outputs if name not in steady]


def _sent_by(neuron: Neuron) -> Callable[[Tensor], Tensor]:
    def sent(spikes: Tensor) -> Tensor:
        return spikes_per_sample(neuron, spikes)

    return sent


def _with_state(graph: Graph) -> list[Operation]:
    constant = {op.name for op in constant_in_time(graph)}
    return [
        op
        for op in graph.operations
        if op.site is not None or (op.kind in _ACCUMULATING and op.name not in constant)
    ]


def _state_names(op: Operation) -> tuple[str, ...]:
    if op.site is not None:
        return (f"potential:{op.name}",)
    return (*(_sum_of(op, source) for source in op.inputs), f"reached:{op.name}")


def _sum_of(op: Operation, source: str) -> str:
    return f"sum:{op.name}:{source}"


def _accumulate(op: Operation, line: StraightLine) -> None:
    """A maximum or product of what its inputs have sent so far; see `graph.accumulated`."""
    sums = {source: _sum_of(op, source) for source in op.inputs}
    for source, name in sums.items():
        grown = line.call(torch.add, line.values[name], line.values[source])
        line.values[name] = line.call(kept_in, line.values[name], grown)
    line.run(op.rewired(sums))
    reached, before = line.values[op.name], line.values[f"reached:{op.name}"]
    rise = line.call(torch.sub, reached, before)
    for _ in range(degree_of(op) - 1):
        rise = line.call(torch.div, rise, line.values[_WINDOW])
    line.values[op.name] = rise
    line.call(kept_in, before, reached)


def _nothing_yet(graph: Graph, op: Operation, like: Tensor, batch: int) -> list[Tensor]:
    """Sums of nothing, and the maximum or product of them."""
    seen = [channels_last(like.new_zeros(batch, *graph.shapes[source])) for source in op.inputs]
    return [*seen, apply(op, seen, graph.tensors)]
