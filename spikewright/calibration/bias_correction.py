"""Sequential bias correction: layer after layer, the mean input is put back where the ANN had it.

Clipping and rounding shift the mean of what a layer sends on. Going through the network in order,
the correction of a channel is the ANN's mean pre-activation minus the spiking network's, with all
earlier corrections in place. (`OutputMeans` has the rule of Li et al., ICML 2021, which compares
what layers send.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction, Offsets
from spikewright.graph.evaluate import evaluate
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.neurons import Draws, Layer, sample_ids_of


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """`[C]` or `[1]` as `[1, C, 1, ...]`, of the dtype and device of `like` `[B, C, ...]`."""
    return values.to(like).reshape(1, -1, *[1] * (like.ndim - 2))


@dataclass(frozen=True)
class InputMeans(Correction):
    """Puts the mean input of every channel back where the ANN had it.

    Neurons without a count law are taken at their expected count, as if their input came evenly.
    """

    def offsets(
        self,
        graph: Graph,
        calibration: Calibration,
        thresholds: Mapping[str, Tensor],
        samples: Tensor,
        steps: int,
        seed: int,
    ) -> Offsets:
        corrections: dict[str, Tensor] = {}
        ids = sample_ids_of(samples)
        neuron = calibration.neuron
        levels = neuron.levels(steps)

        def spiking(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
            assert op.site is not None
            (current,) = inputs
            name = op.site.name
            mean = current.transpose(0, 1).flatten(1).mean(1, dtype=torch.float64).cpu()
            corrections[name] = calibration.statistics[name].input_mean - mean
            theta = per_channel(thresholds[name], current)
            charge = (current + per_channel(corrections[name], current)) * (levels / theta)
            if neuron.has_count_law:
                count = neuron.count(charge, Layer(theta, steps, Draws.of(seed, name, ids)))
            else:
                count, _ = neuron.expected_count(charge.clamp(min=0), steps)
            return count * (theta / levels)

        with torch.no_grad():
            evaluate(graph, samples, {Kind.UNIT: spiking})
        return Offsets(corrections)
