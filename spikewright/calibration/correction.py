"""What a correction is: a design that makes up for what conversion changes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from spikewright.calibration.calibration import Calibration
from spikewright.calibration.design import Design
from spikewright.calibration.samples import Samples
from spikewright.graph.precision import Precision
from spikewright.neurons import Neuron

A_CORRECTION = "a correction such as calibration.Refit()"
"""What is wanted where something else was given, for messages."""


class Correction(ABC):
    """A way to make up for errors, site after site: configuration only."""

    def depends_on(self, neuron: Neuron) -> Neuron:
        """What the correction knows of a neuron; neurons of one answer are corrected alike."""
        return neuron

    def at_precision(self, precision: Precision) -> Correction:
        """The same for weights that are kept in a number format, where that changes it."""
        return self

    @abstractmethod
    def corrected(
        self, design: Design, calibration: Calibration, samples: Samples, steps: int, seed: int
    ) -> Design:
        """The design at T = `steps`, with what the correction adds.

        Args:
            design: thresholds, and nothing else yet.
            calibration: the statistics of all calibration samples, and the neurons.
            samples: the calibration samples that fit into memory, with the graph that they run on.
            steps: T.
            seed: of the stochastic neurons' draws.
        """
