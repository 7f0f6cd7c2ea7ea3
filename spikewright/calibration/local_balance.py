"""Local threshold balancing: each layer's threshold descends on the error that it clips itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from spikewright.calibration.statistics import SiteStatistics
from spikewright.calibration.thresholds import THRESHOLDS, Per, Threshold, filled, grouped
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
        rounds: at least 1; the authors take from 10 to thousands.
        rate: step size of the descent, above 0.
        per: "layer" or "channel". A channel that never fired takes the layer's largest activation.

    Raises:
        ValueError: for rounds or rate out of range.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> threshold = sw.calibration.LocalBalance(rounds=20)
        >>> sw.convert(model, torch.rand(64, 4), sw.IntegrateFire(), threshold, correction=None)
        SpikingNetwork(1 sites of IF, T = 16)
    """

    rounds: int = 10
    rate: float = 1.0
    per: Per | str = Per.CHANNEL

    def __post_init__(self) -> None:
        object.__setattr__(self, "per", Per(self.per))
        if isinstance(self.rounds, bool) or not isinstance(self.rounds, int) or self.rounds < 1:
            raise ValueError(f"LocalBalance takes 1 round or more, got {self.rounds!r}")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"LocalBalance takes a finite rate above 0, got {self.rate}")

    def choose(
        self,
        site: Site,
        statistics: SiteStatistics,
        neuron: Neuron,
        steps: int,
        learned: Tensor | None,
    ) -> Tensor:
        group = grouped(statistics, self.per)
        share = group.histogram.double() / group.values
        threshold = group.maximum.new_zeros(len(group.maximum))
        for _ in range(self.rounds):
            above = (group.centres - threshold[:, None]).clamp(min=0)
            threshold = threshold + 2 * self.rate * (share * above).sum(1)
            threshold = threshold.minimum(group.maximum)
        return filled(threshold, statistics)
