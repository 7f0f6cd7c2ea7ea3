"""What a layer of neurons sends over a whole window: what `OutputMeans` is measured on.

The engines run a finished network and never hold a whole train. A correction by what layers send
needs every step of a layer, `[D, B, *S]` with D steps. Neurons with a count law take their count
from their mean current, and D is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spikewright.calibration.layers import Sent
from spikewright.neurons import Draws, Layer, Neuron, StreamingDynamics


@dataclass(frozen=True)
class LayerSimulation:
    """Layers of one kind of neuron at one T.

    Attributes:
        neuron: at every site.
        steps: T.
        seed: of the draws.
    """

    neuron: Neuron
    steps: int
    seed: int

    @property
    def duration(self) -> int:
        """D, the steps whose values are held."""
        return 1 if self.neuron.has_count_law else self.neuron.duration(self.steps)

    @property
    def rehearsal(self) -> int:
        """The first of those steps, which weigh nothing."""
        return 0 if self.neuron.has_count_law else self.neuron.rehearsal

    def trains(
        self, site: str, current: Tensor, theta: Tensor, potential: Tensor | float, ids: Tensor
    ) -> Sent:
        """What a layer sends.

        Args:
            site: its name.
            current: `[D, B, *S]`.
            theta: broadcastable to `[B, *S]`.
            potential: charge before the first step, broadcastable too.
            ids: identities of the samples, int64 `[B]`.

        Returns:
            Counts `[1, B, *S]` where D is 1, else spikes `[D, B, *S]`.
        """
        layer = Layer(theta, self.steps, Draws.of(self.seed, site, ids), potential=potential)
        if self.neuron.has_count_law:
            levels = self.neuron.levels(self.steps)
            charge = (current[0] * levels + potential * (levels / self.steps)) / theta
            return Sent(self.neuron.count(charge, layer)[None], theta / levels)
        dynamics = self.neuron.start(layer)
        if isinstance(dynamics, StreamingDynamics):
            return Sent(dynamics.advance(current), theta)
        dynamics.absorb(current, self.neuron.step_weights(self.steps))
        dynamics.rewind()
        return Sent(dynamics.emit(self.duration), theta)

    def mean(self, sent: Sent) -> Tensor:
        """The mean over the steps that count, `[B, *S]`."""
        return sent.numbers[self.rehearsal :].mean(dim=0) * sent.unit
