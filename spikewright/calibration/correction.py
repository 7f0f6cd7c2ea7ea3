"""What a correction is: currents and potentials that make up for what conversion changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from spikewright.calibration.calibration import Calibration
from spikewright.calibration.samples import Samples
from spikewright.neurons import Neuron


@dataclass(frozen=True)
class Offsets:
    """What a correction adds at one T, in the units of the model's activations.

    Attributes:
        currents: by site, float64 `[C]`, added to the current at every step; may be empty.
        potentials: by site, float64 `[*S]`, charge before the first step; may be empty.
        weights: by stored name, on the CPU, what stands in place of the model's weights and biases;
            may be empty.
        held_out: where one of several corrections was chosen, the error of each on samples held
            out, by name, float64 `[]`.
    """

    currents: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    potentials: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    weights: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    held_out: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


class Correction(ABC):
    """A way to make up for errors, site after site: configuration only."""

    def depends_on(self, neuron: Neuron) -> Neuron:
        """What the correction knows of a neuron; neurons of one answer are corrected alike."""
        return neuron

    @abstractmethod
    def offsets(
        self,
        calibration: Calibration,
        thresholds: Mapping[str, Tensor],
        samples: Samples,
        steps: int,
        seed: int,
    ) -> Offsets:
        """What to add to every site at T = `steps`.

        Args:
            calibration: the statistics of all calibration samples, and the neuron.
            thresholds: by site, float64 `[C]` or `[1]`.
            samples: the calibration samples that fit into memory, with the graph that they run on.
            steps: T.
            seed: of the stochastic neurons' draws.
        """
