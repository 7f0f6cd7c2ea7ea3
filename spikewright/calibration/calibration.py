"""What a converted network keeps of its calibration: enough for thresholds at any T."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
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
        neurons: what the thresholds are fitted for, by site name.
        threshold: the strategy.
        learned: learned thresholds (QCFS's lambda) by site name, where there are any.
    """

    sites: tuple[Site, ...]
    statistics: Mapping[str, SiteStatistics]
    neurons: Mapping[str, Neuron]
    threshold: Threshold
    learned: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    @property
    def signed(self) -> frozenset[str]:
        """Names of the sites where a negative activation was seen: their counts have signs."""
        return frozenset(site for site, seen in self.statistics.items() if seen.signed)

    def thresholds_at(self, steps: int) -> dict[str, Tensor]:
        """Thresholds of every site at T = `steps`: float64 `[C]` or `[1]`, positive, on the CPU."""
        chosen: dict[str, Tensor] = {}
        alike: dict[str, list[Site]] = {}  # chosen for already, by the name of their group
        for site in self.sites:
            neuron, known = self.neurons[site.name], alike.setdefault(site.group_name, [])
            same = next((one for one in known if self.neurons[one.name] == neuron), None)
            if same is None:
                seen, learned = self.statistics[site.name], self.learned.get(site.name)
                own = neuron.own_threshold(steps)
                if own is None:
                    theta = self.threshold.choose(site, seen, neuron, steps, learned)
                    chosen[site.name] = self._within_ceiling(site, theta, steps)
                else:
                    chosen[site.name] = torch.tensor([own], dtype=torch.float64)
                known.append(site)
            else:
                chosen[site.name] = chosen[same.name]
        return chosen

    def _within_ceiling(self, site: Site, theta: Tensor, steps: int) -> Tensor:
        """A threshold at which counts end where the activation does, if the code leaves room.

        Such a code counts beyond L, and would send more than ReLU6 or QCFS lets pass.
        """
        neuron = self.neurons[site.name]
        room = neuron.reach(steps) / neuron.levels(steps)
        if room == 1 or not site.rectifies:
            return theta
        ceiling = self.learned.get(site.name, theta.new_tensor(site.ceiling))
        return theta.minimum(ceiling.to(theta) / room)
