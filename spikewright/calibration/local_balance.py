"""Local threshold balancing: each layer's threshold descends on the error that it clips itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.calibration.statistics import SiteStatistics
from spikewright.calibration.thresholds import (
    THRESHOLDS,
    Per,
    Threshold,
    filled,
    from_each_bin_on,
    grouped,
)
from spikewright.checks import is_finite, whole_number
from spikewright.graph.ir import Site
from spikewright.neurons import Neuron


@THRESHOLDS.register
@dataclass(frozen=True)
class LocalBalance(Threshold):
    """Descends on the squared error of clipping (Bu et al., CVPR 2025, arXiv 2409.03368).

    The threshold begins at 0, and with x over all activations of a channel, zeros counted, every
    round takes it to

        theta + 2 rate mean[(x - theta) 1(x > theta)],

    at most to the largest activation. It knows of no T and no neuron: more rounds clip less, for
    more steps. The authors take a batch of data a round, and let each layer read what those before
    it clip meanwhile; here every round sees all of the calibration data as the ANN has them, by
    their histogram, so that the order of the data changes nothing.

    Args:
        rounds: at least 1. The authors' program takes 4,000, their demonstration 10; the fewer,
            the more is clipped, which serves few time steps.
        rate: step size of the descent, above 0.
        per: "layer" or "channel". A channel that never fired takes the layer's largest activation.

    Raises:
        ValueError: for rounds or rate out of range.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> threshold = sw.calibration.LocalBalance(rounds=100)
        >>> sw.convert(model, torch.rand(64, 4), sw.IntegrateFire(), threshold, correction=None)
        SpikingNetwork(1 sites of IF, T = 16)
    """

    rounds: int = 4000
    rate: float = 1.0
    per: Per | str = Per.CHANNEL

    def __post_init__(self) -> None:
        object.__setattr__(self, "per", Per(self.per))
        rounds = whole_number(self.rounds, least=1)
        if rounds is None:
            raise ValueError(f"LocalBalance takes 1 round or more, got {self.rounds!r}")
        object.__setattr__(self, "rounds", rounds)
        if not (is_finite(self.rate) and self.rate > 0):
            raise ValueError(f"LocalBalance takes a finite rate above 0, got {self.rate!r}")

    def depends_on(self, neuron: Neuron) -> Neuron:
        return neuron.evenly_driven if type(self) is LocalBalance else neuron

    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        group = grouped(statistics, self.per)
        share, centres = group.histogram.double() / group.values, group.centres
        number, total = (
            F.pad(from_each_bin_on(values), (0, 1))  # nothing lies beyond the last bin
            for values in (share, share * centres)
        )
        threshold = torch.zeros_like(group.maximum)[:, None]
        for _ in range(self.rounds):
            first = torch.searchsorted(centres, threshold, right=True)  # bin that is clipped
            clipped = total.gather(1, first) - threshold * number.gather(1, first)
            threshold = threshold + 2 * self.rate * clipped.clamp(min=0)
            threshold = threshold.minimum(group.maximum[:, None])
        return filled(threshold[:, 0], statistics)
