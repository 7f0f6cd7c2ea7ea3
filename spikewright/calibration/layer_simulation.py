"""What a layer of neurons sends over a whole window: what `OutputMeans` is measured on.

The engines run a finished network and never hold a whole train. A correction by what layers send
needs every step of a layer, `[D, B, *S]` with D steps. Neurons with a count law take their count
from their mean current, and D is 1. So do those that reach one by settling for some steps, as if
these were enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from spikewright.calibration.design import Design
from spikewright.calibration.fitted_neurons import function_before
from spikewright.calibration.layers import AtLayer, Sent
from spikewright.graph.ir import Graph, Operation
from spikewright.graph.per_channel import placed
from spikewright.neurons import Draws, Layer, Neuron, StreamingDynamics


@dataclass(frozen=True)
class LayerSimulation:
    """Layers of neurons at one T.

    Attributes:
        neurons: by site name.
        steps: T.
        seed: of the draws.
        tensors: the stored tensors of the graph.
        signed: names of the sites whose counts have signs.
    """

    neurons: Mapping[str, Neuron]
    steps: int
    seed: int
    tensors: Mapping[str, Tensor]
    signed: frozenset[str]

    def __post_init__(self) -> None:
        settled = {site: neuron.settled for site, neuron in self.neurons.items()}
        object.__setattr__(self, "neurons", settled)

    @cached_property
    def by_counts(self) -> bool:
        """Whether every neuron has a count law, so that no step is simulated."""
        return all(neuron.has_count_law for neuron in self.neurons.values())

    @property
    def duration(self) -> int:
        """D, the steps whose values are held; where they are simulated, those of all neurons."""
        any_neuron = next(iter(self.neurons.values()))
        return 1 if self.by_counts else any_neuron.duration(self.steps)

    @property
    def rehearsal(self) -> int:
        """The first of those steps, which weigh nothing."""
        any_neuron = next(iter(self.neurons.values()))
        return 0 if self.by_counts else any_neuron.rehearsal

    def worth(self, graph: Graph, design: Design) -> dict[str, Tensor]:
        """By site name, what a count of one stands for, placed as the site's activations are."""
        device = next((tensor.device for tensor in graph.tensors.values()), None)
        return {
            op.site.name: placed(design.thresholds[op.site.name], op).to(device=device)
            / self.neurons[op.site.name].levels(self.steps)
            for op in graph.neurons
            if op.site
        }

    def trains(
        self,
        op: Operation,
        current: Tensor,
        theta: Tensor,
        potential: Tensor | float,
        ids: Tensor,
    ) -> Sent:
        """What a layer sends.

        Args:
            op: its unit.
            current: `[D, B, *S]`.
            theta: broadcastable to `[B, *S]`.
            potential: charge before the first step, broadcastable too.
            ids: identities of the samples, int64 `[B]`.

        Returns:
            Counts `[1, B, *S]` where D is 1, else spikes `[D, B, *S]`.
        """
        assert op.site is not None
        neuron = self.neurons[op.site.name]
        function = function_before(neuron, op, self.tensors)
        signed = op.site.name in self.signed
        draws = Draws(self.seed, op.site.name, ids)
        layer = Layer(
            theta, self.steps, draws, potential=potential, function=function, signed=signed
        )
        levels = neuron.levels(self.steps)
        if self.by_counts:
            if function is None:
                charge = current[0] * levels
                if isinstance(potential, Tensor) or potential:
                    charge += potential * (levels / self.steps)
                charge /= theta
            else:
                charge = function(current[0] + potential / self.steps) * (levels / theta)
            return Sent(neuron.count(charge, layer)[None], theta / levels, whole=True)
        unit = theta * (self.steps / levels)
        dynamics = neuron.start(layer)
        if isinstance(dynamics, StreamingDynamics):
            return Sent(dynamics.advance(current), unit)
        if neuron.has_count_law:  # it knows its total charge only: equal shares do as well
            current = current + potential / self.steps
        dynamics.absorb(current, neuron.step_weights(self.steps) * (levels / self.steps))
        dynamics.rewind()
        return Sent(dynamics.emit(self.duration), unit)

    def send(self, layer: AtLayer, design: Design, ids: Sequence[Tensor]) -> None:
        """Let a layer send what it sends under a design.

        Args:
            layer: of units.
            design: whose thresholds, corrections and potentials are taken.
            ids: identities of the samples of every part, int64 `[B]`.
        """
        op, site = layer.operation, layer.site
        for number, current in layer.currents():
            if site in design.corrections:
                current = current + placed(design.corrections[site], op).to(current)
            held = design.potentials.get(site)
            potential = 0.0 if held is None else held.to(current)
            theta = placed(design.thresholds[site], op).to(current)
            steps = current.unflatten(0, (self.duration, len(ids[number])))
            sent = self.trains(op, steps, theta, potential, ids[number])
            layer.send(number, replace(sent, numbers=sent.numbers.flatten(0, 1)))

    def mean_over_steps(self, values: Tensor) -> Tensor:
        """The mean over the steps that count, `[B, *S]` from `[D * B, *S]`."""
        if self.duration == 1:
            return values
        return values.unflatten(0, (self.duration, -1))[self.rehearsal :].mean(0)

    def mean(self, sent: Sent) -> Tensor:
        """The mean over the steps that count, `[B, *S]`."""
        return sent.numbers[self.rehearsal :].mean(dim=0) * sent.unit
