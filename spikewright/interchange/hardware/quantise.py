"""A spiking network in whole numbers: 8-bit weights, integer thresholds, biases and potentials.

Per output channel, weights are `unit * (whole number in -127 .. 127)`; the channel's membrane then
counts in that unit, and threshold, bias and initial potential are whole numbers of it. Run time
multiplies spikes (0 or 1) by weights, and branches by whole factors where they meet, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import InterchangeError
from spikewright.graph.evaluate import call, evaluate
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.scales import fold_scales
from spikewright.interchange.hardware.build import Build, Edge, Refused, bits_of, check_bits, whole
from spikewright.interchange.hardware.bundle import Bundle
from spikewright.interchange.hardware.rounding import compressed, whole_neurons
from spikewright.interchange.hardware.rules import RULES
from spikewright.network import SpikingNetwork
from spikewright.network.plan import Plan
from spikewright.neurons import IntegrateFire, Neuron, TwoPhase
from spikewright.version import __version__

MEANINGS = {
    "weight": "int8 [outputs, inputs / groups, *kernel]: what a one of the input adds to the value",
    "threshold": "integer >= 1, broadcastable to the layer: a spike is sent at or above it",
    "bias": "neurons: integer, added to the potential at every time step; readout: integer, added "
    "once to the sum over the window",
    "initial": "integer, broadcastable to the layer: the potential before the first step",
    "shift": "int8 >= 0, broadcastable to the layer: the current is shifted left by it (times "
    "2**shift) before it is added to the potential",
    "factor": "factor_0: integer, broadcastable to the first input, which is multiplied by it; "
    "factor_1 the second, and so on",
    "index": "integer, of the value's shape: the place in the flattened input; -1 stands for 0",
    "scale": "float64, for people: what a one of the value stands for in the source network's "
    "unit, at one time step; of neurons, what a one of their potential stands for",
    "logit": "float64: what a one of the read-out's sum stands for as a logit",
}
"""What the arrays of a bundle are."""


@dataclass(frozen=True)
class InputFormat:
    """How a bundle reads images: signed whole numbers of `bits` bits in units of `2**-fraction`.

    Args:
        bits: 8 or 16.
        fraction: bits behind the point; with 16 bits the default 10 holds -32 .. 32 to within
            1 / 2048, images in 0 .. 1 as well as normalised ones.

    Raises:
        ValueError: for other bits, or a fraction outside 0 .. 15.
    """

    bits: int = 16
    fraction: int = 10

    def __post_init__(self) -> None:
        if self.bits not in (8, 16):
            raise ValueError(f"bits must be 8 or 16, got {self.bits}")
        if not 0 <= self.fraction <= 15:
            raise ValueError(f"fraction must lie in 0 .. 15, got {self.fraction}")

    @property
    def scale(self) -> float:
        """What a one stands for."""
        return 2.0**-self.fraction

    @property
    def bound(self) -> int:
        """The largest absolute value."""
        return 1 << (self.bits - 1)


def quantised(
    network: SpikingNetwork, steps: int, input_format: InputFormat, source_sha256: str | None
) -> Bundle:
    """The bundle of a network at one T.

    Raises:
        InterchangeError: naming every neuron and operation without an integer form.
    """
    reasons = _objections(network.neurons)
    if not reasons:
        made = _Quantiser(network, network.plan(steps), input_format)
        reasons = made.run()
        if not reasons:
            return made.bundle(source_sha256)
    raise InterchangeError(
        "a hardware bundle cannot hold this network: "
        + "; ".join(reasons)
        + ". Nothing was written"
    )


def _objections(neurons: Mapping[str, Neuron]) -> list[str]:
    found: list[str] = []
    for label in dict.fromkeys(neuron.label for neuron in neurons.values()):
        sites = [site for site, neuron in neurons.items() if neuron.label == label]
        neuron = neurons[sites[0]]
        if type(neuron) is IntegrateFire or (type(neuron) is TwoPhase and not neuron.stochastic):
            continue
        why = "draws random numbers" if neuron.stochastic else "has dynamics of its own"
        found.append(
            f"'{label}' at {', '.join(sites)} {why}, and a bundle describes integrate-and-fire and "
            'two-phase nearest neurons only: change with network.with_neuron(spikewright.TwoPhase("'
            'nearest")) or (spikewright.IntegrateFire())'
        )
    if not found and len(set(neurons.values())) > 1:
        found.append(
            "its layers have different neurons "
            f"({', '.join(dict.fromkeys(n.label for n in neurons.values()))}), and a bundle has one"
        )
    return found


class _Quantiser:
    """One pass over a graph; one use."""

    def __init__(self, network: SpikingNetwork, plan: Plan, input_format: InputFormat) -> None:
        self._network = network
        self._plan = plan
        self._format = input_format
        self._neuron = next(iter(network.neurons.values()))
        self._graph = graph = _wide(plan)
        constants: dict[str, Tensor] = {}
        for op in graph.operations:
            if op.kind is Kind.CONSTANT:
                constants[op.name] = call(op, constants, graph.tensors, 1)
        shapes = {graph.input: graph.input_shape}
        shapes.update((op.name, op.shape) for op in graph.operations)
        offsets = _offsets(graph)
        self._build = Build(graph.tensors, shapes, plan.levels, constants, offsets)
        scale = torch.full([1] * (len(graph.input_shape) + 1), input_format.scale).double()
        self._build.edges[graph.input] = Edge(graph.input, scale, input_format.bound)

    def run(self) -> list[str]:
        """Make every node; the reasons of those that cannot be made."""
        reasons: list[str] = []
        edges, lost = self._build.edges, Edge("", torch.ones(()), 0)
        for op in self._graph.operations:
            if op.kind is Kind.CONSTANT:
                continue
            edges[op.name] = lost
            if any(edges[name] is lost for name in self._build.signals(op)):
                if op.site is not None:  # what follows is judged by itself
                    edges[op.name] = self._spikes(op)
                continue
            try:
                edges[op.name] = self._made(op)
            except Refused as reason:
                where = op.source or op.module or op.name
                reasons.append(f"{op.operator} ({where}): {reason}")
                if op.site is not None:
                    edges[op.name] = self._spikes(op)
        if not reasons:
            self._read_out()
        return reasons

    def _made(self, op: Operation) -> Edge:
        if op.site is not None:
            return self._neurons(op, self._build.source(op))
        rule = RULES.get(op.target)
        if rule is None:
            raise Refused("no rule says what it is in whole numbers")
        return rule(op, self._build)

    @staticmethod
    def _spikes(op: Operation) -> Edge:
        return Edge(op.name, torch.ones([1] * (len(op.shape) + 1), dtype=torch.float64), 1)

    def _neurons(self, op: Operation, source: Edge) -> Edge:
        assert op.site is not None
        site, plan = op.site.name, self._plan
        threshold = plan.thresholds[site].double().cpu()
        layer = replace(plan.layer(site, 0, torch.zeros(1, dtype=torch.int64)), threshold=threshold)
        start, shift = (
            self._neuron.initial(layer)
            if isinstance(self._neuron, IntegrateFire)
            else (threshold / 2, 0.0)  # nearest: n thresholds are reached from n - 1/2 on
        )
        current = self._build.offsets[op.name] + shift
        if site in plan.corrections:
            current = current + plan.corrections[site].double().cpu()
        found = whole_neurons(source.scale, threshold, current, _wide_tensor(start), plan.levels)
        arrays = {
            role: whole(compressed(values.expand(1, *op.shape))[0])
            for role, values in vars(found).items()
            if role != "unit"
        }
        arrays["shift"] = arrays["shift"].to(torch.int8)
        arriving = source.bound * int(2 ** found.shift.amax()) + int(found.bias.abs().amax())
        bound = plan.levels * arriving + int(found.initial.abs().amax())
        bits = check_bits(max(bound, int(found.threshold.amax())))
        edge = self._spikes(op)
        self._build.add(
            op,
            "neurons",
            [source],
            compressed(found.unit),
            edge.bound,
            arrays,
            site=site,
            membrane_bits=bits,
        )
        return edge

    def _read_out(self) -> None:
        graph, steps = self._graph, self._plan.levels
        last = next(op for op in graph.operations if op.name == graph.output)
        source = self._build.edges[graph.output]
        scale = source.scale
        bias = (steps * self._build.offsets[graph.output] / scale).round()
        arrays = {"bias": whole(compressed(bias)[0]), "logit": (scale / steps)[0]}
        op = replace(last, name=f"{last.name}.readout")
        bits = bits_of(steps * source.bound + int(bias.abs().amax()))
        self._build.add(op, "readout", [source], scale, source.bound, arrays, sum_bits=bits)

    def bundle(self, source_sha256: str | None) -> Bundle:
        """What was made."""
        graph, build, neuron = self._graph, self._build, self._neuron
        document: dict[str, Any] = {
            "spikewright": __version__,
            "source_sha256": source_sha256,
            "steps": self._plan.levels,
            "phases": 2 if neuron.waits else 1,
            "neuron": neuron.label,
            "reset": "zero" if _resets_to_zero(neuron) else "subtract",
            "latency_steps": self._network.latency(self._plan.levels),
            "input": {
                "name": graph.input,
                "shape": list(graph.input_shape),
                "dtype": f"int{self._format.bits}",
                "scale": self._format.scale,
                "meaning": "round(pixel / scale), halves to even, the same at every time step",
            },
            "meanings": MEANINGS,
            "nodes": build.nodes,
            "arrays": {
                name: {"dtype": str(array.dtype), "shape": list(array.shape)}
                for name, array in build.arrays.items()
            },
        }
        return Bundle(document, build.arrays)


def _wide(plan: Plan) -> Graph:
    """The graph whose neurons emit spikes, in float64 on the CPU."""
    tensors = {name: _wide_tensor(tensor) for name, tensor in plan.source.tensors.items()}
    scales = {site: theta.double().cpu() for site, theta in plan.thresholds.items()}
    return fold_scales(replace(plan.source, tensors=tensors), scales)


def _wide_tensor(tensor: Tensor) -> Tensor:
    tensor = tensor.cpu()
    return tensor.double() if tensor.is_floating_point() else tensor


def _offsets(graph: Graph) -> dict[str, Tensor]:
    """Values of the graph when the input and all spikes are 0, by name; see `Build`."""
    found: dict[str, Tensor] = {}

    def silent(op: Operation, current: Tensor) -> Tensor:
        found[op.name] = current
        return torch.zeros_like(current)

    def pooled(op: Operation, value: Tensor) -> Tensor:
        found[op.name] = value
        return call(op, {op.inputs[0]: value}, graph.tensors, 1)

    x = torch.zeros(1, *graph.input_shape, dtype=torch.float64)
    answer = evaluate(graph, x, {Kind.NEURON: silent, Kind.MAX_POOL: pooled})
    return {**found, graph.output: answer}


def _resets_to_zero(neuron: Neuron) -> bool:
    return isinstance(neuron, IntegrateFire) and neuron.reset == "hard"
