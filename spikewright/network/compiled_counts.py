"""The count engine as one compiled function: each neuron layer fused into the pass over its input.

Everything that depends on T enters as a tensor: folded weights, gains, the table of the TPP law, T
itself, the words that random draws are keyed by. So one compilation serves every T and every seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from spikewright.graph.inputs import Batch, tensors_of
from spikewright.graph.ir import Graph
from spikewright.network.compiled_engine import CompiledEngine, Ran
from spikewright.network.compiler import StraightLine, channels_last, compiled, row
from spikewright.network.plan import SILENT, Observer, Plan, spikes_per_sample
from spikewright.neurons import LayerLaw, Neuron, count_law
from spikewright.neurons.counter_random import (
    StepDraws,
    layer_keys,
    neuron_words,
    site_keys,
    step_words,
)
from spikewright.neurons.rounding import ROUNDING_DRAW

_LAW_BLOCK = count_law.INTERVALS * 256 + 1
"""The table of the TPP law is filled up to multiples of its size at T = 256."""


class CompiledCounts(CompiledEngine):
    """The compiled forward passes of one network."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._steps = plan.steps
        sites = [site.name for site in plan.source.sites]
        self._site_keys = site_keys(sites, torch.device("cpu"))
        self._passes = {  # compiled when first called
            counting: compiled(counting_module(plan, count_spikes=counting), dynamic=False)
            for counting in (False, True)
        }

    def fits(self, plan: Plan) -> bool:
        same = plan.steps == self._steps or not any(n.reads_steps for n in plan.neurons.values())
        return same and super().fits(plan)

    @staticmethod
    def serves(plan: Plan) -> bool:
        """Any network of neurons with a count law, as the count engine does."""
        return True

    @staticmethod
    def graph_of(plan: Plan) -> Graph:
        return plan.count_graph

    @staticmethod
    def _fixed_of(plan: Plan) -> list[Tensor]:
        return fixed_arguments(plan)

    def _run(
        self, plan: Plan, x: Batch, seed: int, sample_ids: Tensor, observer: Observer = SILENT
    ) -> Ran:
        keys = layer_keys(seed, self._site_keys.to(x.device), sample_ids)
        words = step_words(keys, ROUNDING_DRAW)
        shown = [channels_last(tensor) for tensor in tensors_of(x)]
        counting = observer.sent is not None
        values = list(self._passes[counting](*shown, *words, *self._fixed_for(plan)))
        outputs = len(plan.count_graph.outputs)
        return Ran(values[:outputs], values[outputs:])


def _kinds(neurons: Mapping[str, Neuron]) -> tuple[list[Neuron], dict[str, int]]:
    """The different neurons of a network, and which of them stands at each site, by its name.

    What they need of T is passed to the compiled code once for all of their sites.
    """
    kinds: list[Neuron] = []
    for neuron in neurons.values():
        if neuron not in kinds:
            kinds.append(neuron)
    return kinds, {site: kinds.index(neuron) for site, neuron in neurons.items()}


def counting_module(plan: Plan, *, count_spikes: bool) -> fx.GraphModule:
    """The count engine of a plan's graph, as a module of straight-line code.

    Its forward takes the inputs, the two words `[sites, B]` that random draws are keyed by, and
    `fixed_arguments`. It returns the outputs and, with `count_spikes`, the spikes that each sample
    sent at every site.
    """
    graph = plan.count_graph
    sites = [site.name for site in graph.sites]
    kinds, kind_of = _kinds(plan.neurons)
    of_kind = [f"{name}:{kind}" for name in ("levels", "law") for kind in range(len(kinds))]
    of_site = [f"{name}:{site}" for name in ("neurons", "gain", "correction") for site in sites]
    inputs = [port.name for port in graph.inputs]
    line = StraightLine(
        [*inputs, "low", "high", *of_kind, *of_site], list(graph.tensors), inputs[0]
    )
    sent: list[fx.Node] = []
    for op in graph.operations:
        if op.site is None:
            line.run(op)
            continue
        site = op.site.name
        words = [line.call(row, line.values[word], sites.index(site)) for word in ("low", "high")]
        value = line.call(torch.add, line.values[op.inputs[0]], line.values[f"correction:{site}"])
        if plan.functions[site] is not None:
            value = line.applied(op, value)
        kind = kind_of[site]
        given = [f"neurons:{site}", f"gain:{site}", f"levels:{kind}", f"law:{kind}"]
        layer = [value, *(line.values[name] for name in given)]
        emitting = _emitting(kinds[kind], plan.steps, signed=site in plan.signed)
        emitted = line.call(emitting, *layer, *words)
        line.values[op.name], spikes = line.parts(emitted, 2)
        sent.append(spikes)
    outputs = [line.values[name] for name in graph.outputs]
    return line.module([*outputs, *(sent if count_spikes else ())])


def _emitting(neuron: Neuron, steps: int, *, signed: bool) -> Callable[..., tuple[Tensor, Tensor]]:
    """A neuron layer as a function of tensors: what it rounds to counts, and spikes sent."""

    def emit(
        value: Tensor,
        neurons: Tensor,
        gain: Tensor,
        levels: Tensor,
        law: Tensor,
        low: Tensor,
        high: Tensor,
    ) -> tuple[Tensor, Tensor]:
        layer = LayerLaw(levels, StepDraws(low, high, neurons), law, signed, steps)
        count = neuron.count(value * gain, layer)
        return count, spikes_per_sample(neuron, count)

    return emit


def fixed_arguments(plan: Plan) -> list[Tensor]:
    """The arguments of `counting_module` after inputs and words, for one plan."""
    graph = plan.count_graph
    sites = [site.name for site in graph.sites]
    like = plan.thresholds[sites[0]]
    kinds, _ = _kinds(plan.neurons)
    levels = [like.new_tensor(float(kind.levels(plan.steps))) for kind in kinds]
    laws = [_law(kind, plan.steps, like) for kind in kinds]
    shapes = {op.site.name: op.shape for op in graph.neurons if op.site}
    words = [channels_last(neuron_words(shapes[site], like.device)[None])[0] for site in sites]
    gains = [plan.gain(site) for site in sites]
    shifts = [plan.corrections.get(site, torch.zeros_like(plan.thresholds[site])) for site in sites]
    weights = [channels_last(tensor) for tensor in graph.tensors.values()]
    return [*levels, *laws, *words, *gains, *shifts, *weights]


def _law(neuron: Neuron, steps: int, like: Tensor) -> Tensor:
    """The table of the TPP law, where a neuron reads it."""
    if not neuron.reads_law:
        return like.new_empty(0)
    law = count_law.draw_table(neuron.levels(steps), like.device)
    return F.pad(law, (0, -len(law) % _LAW_BLOCK))  # few sizes, so few compilations
