"""Sequential bias correction: layer after layer, the mean input is put back where the ANN had it.

Clipping and rounding shift the mean of what a layer sends on. Going through the network in order,
the correction of a channel is the ANN's mean pre-activation minus the spiking network's, with all
earlier corrections in place. (`OutputMeans` has the rule of Li et al., ICML 2021, which compares
what layers send.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction
from spikewright.calibration.design import Design
from spikewright.calibration.fitted_neurons import function_before
from spikewright.calibration.layers import Layers, Sent
from spikewright.calibration.samples import Samples
from spikewright.calibration.statistics import finite_sum
from spikewright.graph.ir import Operation
from spikewright.graph.per_channel import by_channel, placed
from spikewright.neurons import Draws, Layer, Neuron

SLICE = 1 << 17
"""Values whose counts are drawn at a time: what that takes beside them stays small."""

_ROUNDING = 4.0
"""Units of rounding by which two means of numbers of one size may differ."""


def channel_means(values: Tensor, op: Operation) -> Tensor:
    """The mean of every channel of a unit's values for one sample, float64 `[C]` on the CPU.

    Values of -inf and of masks count as 0, as they do in `SiteStatistics.input_sum`.
    """
    assert op.site is not None
    (rows,) = by_channel(values, op.site.channels)
    return (finite_sum(rows, 1) / rows.shape[1]).cpu()


def _difference(wanted: Tensor, current: Tensor, op: Operation) -> Tensor:
    """What the means of a current lack, float64 `[C]`; 0 where that is no more than rounding.

    A mask adds numbers such as -1e9, beside which float32 has no room for the scores themselves.
    """
    missing = wanted - channel_means(current, op)
    rounding = _ROUNDING * torch.finfo(current.dtype).eps * wanted.abs()
    return missing.where(missing.abs() > rounding, 0.0)


@dataclass(frozen=True)
class InputMeans(Correction):
    """Puts the mean input of every channel back where the ANN had it.

    Neurons without a count law are taken at their expected count, as if their input came evenly;
    those that reach one by settling for some steps, as if these were enough.
    """

    def depends_on(self, neuron: Neuron) -> Neuron:
        return neuron.evenly_driven

    def corrected(
        self, design: Design, calibration: Calibration, samples: Samples, steps: int, seed: int
    ) -> Design:
        corrections: dict[str, Tensor] = {}
        signed = calibration.signed
        for layer in Layers(samples.graph, samples.parts, means=True).units():
            op, site = layer.operation, layer.site
            neuron = calibration.neurons[site].settled
            even = neuron if neuron.has_count_law else neuron.evenly_driven
            levels = neuron.levels(steps)
            function = function_before(neuron, op, samples.graph.tensors)
            correction = _difference(samples.input_means[site], layer.mean_current(), op)
            corrections[site] = correction
            for number, current in layer.currents():
                theta, shift = (
                    placed(v, op).to(current) for v in (design.thresholds[site], correction)
                )
                size = max(1, SLICE // current[0].numel())
                counts: list[Tensor] = []
                for some, ids in zip(
                    current.split(size), samples.ids[number].split(size), strict=True
                ):
                    shifted = some + shift
                    charge = (shifted if function is None else function(shifted)) * (levels / theta)
                    if even.has_count_law:
                        draws = Draws(seed, site, ids)
                        here = Layer(theta, steps, draws, function=function, signed=site in signed)
                        counts.append(even.count(charge, here))
                    else:
                        counts.append(even.mean_count(charge, steps, signed=site in signed))
                layer.send(number, Sent(torch.cat(counts), theta / levels, even.has_count_law))
        return replace(design, corrections=corrections)
