"""What a converted network keeps of its calibration: enough for thresholds at any T."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from spikewright.calibration.statistics import SiteStatistics
from spikewright.calibration.thresholds import Threshold
from spikewright.graph.ir import Site
from spikewright.neurons import Neuron


@dataclass(frozen=True)
class Calibration:
    """Statistics of every site, and how thresholds are chosen from them.

    Attributes:
        sites: in the order in which they run.
        statistics: by site name; sites that are alike share theirs.
        neuron: what the thresholds are fitted for.
        threshold: the strategy.
        learned: learned thresholds (QCFS's lambda) by site name, where there are any.
    """

    sites: tuple[Site, ...]
    statistics: Mapping[str, SiteStatistics]
    neuron: Neuron
    threshold: Threshold
    learned: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    @property
    def signed(self) -> frozenset[str]:
        """Names of the sites where a negative activation was seen: their counts have signs."""
        return frozenset(site for site, seen in self.statistics.items() if seen.signed)

    def thresholds_at(self, steps: int) -> dict[str, Tensor]:
        """Thresholds of every site at T = `steps`: float64 `[C]` or `[1]`, positive, on the CPU."""
        chosen: dict[str, Tensor] = {}
        for site in self.sites:
            if site.group_name not in chosen:
                seen, learned = self.statistics[site.name], self.learned.get(site.name)
                theta = self.threshold.choose(site, seen, self.neuron, steps, learned)
                chosen[site.group_name] = self._within_ceiling(site, theta, steps)
        return {site.name: chosen[site.group_name] for site in self.sites}

    def _within_ceiling(self, site: Site, theta: Tensor, steps: int) -> Tensor:
        """A threshold at which counts end where the activation does, if the code leaves room.

        Such a code counts beyond L, and would send more than ReLU6 or QCFS lets pass.
        """
        room = self.neuron.reach(steps) / self.neuron.levels(steps)
        if room == 1 or not site.rectifies:
            return theta
        ceiling = self.learned.get(site.name, theta.new_tensor(site.ceiling))
        return theta.minimum(ceiling.to(theta) / room)
