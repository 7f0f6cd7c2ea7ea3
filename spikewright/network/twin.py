"""The twin of a spiking network: its ANN, whose activations take the values of counts alone.

It is the network's oracle. The count engine runs a graph whose scales are folded into weights, by
whatever kernels are fastest, on whole numbers; the twin runs the captured graph in floats and
rounds each activation where it stands. Where the two differ, one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import Handler, check_inputs, evaluate
from spikewright.graph.full_precision import full_precision
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.precision import Precision
from spikewright.graph.units import function_of
from spikewright.graph.whole_numbers import in_bytes_before
from spikewright.network.graph_network import CapturedANN
from spikewright.network.plan import Plan
from spikewright.neurons import Neuron, Rounding, SpikeTracer, TwoPhase, code_of


class Twin(CapturedANN):
    """An ANN whose unit i has the value `theta / L * n`, n a whole number up to its L.

        n = clip(round(L / theta * f(x + b)), 0, L)

    with its function f, threshold theta and correction b; clipped from -L where counts have signs,
    and magnitudes of a half rounded up. Of a code that does not carry every n, or leaves room above
    L, n is what it carries. Made by `SpikingNetwork.twin`, it shares that network's weights, but
    for those that int8 rounds, and its thresholds and corrections are buffers: it moves with
    `.to()`.

    Attributes:
        levels: L by site name.
        signed: names of the sites whose counts have signs.
    """

    def __init__(self, plan: Plan) -> None:
        """Take weights, thresholds and corrections of a network at one T."""
        super().__init__(_source_of(plan))
        self.levels = plan.levels
        self._windows = {site: n.window(plan.steps) for site, n in plan.neurons.items()}
        self._codes = {
            site: code_of(getattr(n, "code", "random")) for site, n in plan.neurons.items()
        }
        self.signed = plan.signed
        self._places = {site: number for number, site in enumerate(plan.thresholds)}
        for site, number in self._places.items():
            self.register_buffer(f"threshold:{number}", plan.thresholds[site])
            self.register_buffer(f"correction:{number}", plan.corrections.get(site))

    @full_precision()
    @torch.no_grad()
    def counts(self, images: Any) -> dict[str, Tensor]:
        """The n of every unit for a batch: by site name, `[B, *S]`, whole numbers.

        Beside `SpikingNetwork.counts` it shows the first site at which the two differ.

        Raises:
            ConversionError: for input that the network was not captured for.
        """
        graph, counts = self.graph, dict[str, Tensor]()
        batch = graph.call.batch(images, graph.tensors)
        check_inputs(graph, batch, self._reference)
        evaluate(graph, batch, self._handlers(graph, counts))
        return counts

    def _handlers(
        self, graph: Graph, counts: dict[str, Tensor] | None = None
    ) -> Mapping[Any, Handler]:
        def rounded(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
            assert op.site is not None
            (current,) = inputs
            threshold, correction = self._of(op.site.name)
            current = current if correction is None else current + correction
            function = function_of(op, graph.tensors)
            value = current if function is None else function(current)
            levels = self.levels[op.site.name]
            count = self._count(value * levels / threshold, op.site.name)
            if counts is not None:
                counts[op.site.name] = count
            return count * threshold / levels

        return {Kind.UNIT: rounded}

    def _of(self, site: str) -> tuple[Tensor, Tensor | None]:
        """Threshold and correction of a site, broadcastable to `[B, *S]`."""
        number = self._places[site]
        return self.get_buffer(f"threshold:{number}"), getattr(self, f"correction:{number}")

    def _count(self, charge: Tensor, site: str) -> Tensor:
        """The whole number next to a charge that a unit can send."""
        magnitude = charge.abs() if site in self.signed else charge
        code = self._codes[site]
        whole = (magnitude + 0.5).floor().clamp(0, self.levels[site] * code.room)
        count = code.carried(whole, self._windows[site])
        return count.copysign(charge) if site in self.signed else count


def twin_of(plan: Plan, dtype: torch.dtype) -> Twin:
    """The twin of a network at one T.

    Args:
        plan: the network's.
        dtype: of the network.

    Raises:
        ConversionError: where no such network computes what the spiking one does.
    """
    others = {
        neuron.label: site
        for site, neuron in plan.neurons.items()
        if not _rounds_to_nearest(neuron)
    }
    if others:
        which = ", ".join(f"'{label}' (at {site})" for label, site in others.items())
        raise ConversionError(
            "a twin rounds every activation to its nearest level, and these neurons do not: "
            f"{which}; their counts depend on chance, on the order of spikes or on tables: ask for "
            "the twin of snn.with_neuron(spikewright.TwoPhase('nearest'))"
        )
    if dtype.itemsize < 4 or plan.precision is Precision.BF16:
        raise ConversionError(
            "a twin computes with the weights as they are, and this network rounds those that meet "
            "spikes to 16 bits: ask for the twin of a copy in float32, copy.deepcopy(snn).float() "
            "or snn.with_precision('float32')"
        )
    return Twin(plan)


def _source_of(plan: Plan) -> Graph:
    """The captured graph with the weights that the network computes with."""
    if plan.precision is not Precision.INT8:
        return plan.source
    return in_bytes_before(plan.source, plan.worth_of_counts)


def _rounds_to_nearest(neuron: Neuron) -> bool:
    """Whether its count, or that at which it settles, is its charge rounded to nearest."""
    if type(neuron) not in (TwoPhase, SpikeTracer) or not neuron.has_count_law:
        return False
    return getattr(neuron, "rounding", None) is Rounding.NEAREST
