"""What a converted network keeps of its calibration: enough for thresholds at any T."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spikewright.calibration.statistics import SiteStatistics
from spikewright.calibration.thresholds import Threshold
from spikewright.errors import ConversionError
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

    def carried(
        self, thresholds: Mapping[str, Tensor], neurons: Mapping[str, Neuron], steps: int
    ) -> Mapping[str, Tensor]:
        """These thresholds for a network whose neurons were exchanged; itself where none was.

        Args:
            thresholds: at T = `steps`, chosen for the neurons of this calibration.
            neurons: what stands there now, by site name.
            steps: T.

        Raises:
            ConversionError: naming a site where another conversion alone can choose them.
        """
        others = dict[str, Tensor]()
        for site in self.sites:
            old, new = self.neurons[site.name], neurons[site.name]
            if old == new:
                continue
            theta = thresholds[site.name]
            own = new.own_threshold(steps)
            if own is not None and bool((theta != own).any()):
                raise _to_convert(site, old, new, "the threshold of its table is another")
            if own is None and old.own_threshold(steps) is not None:
                raise _to_convert(site, old, new, "the threshold there is that of a table")
            if site.rectifies and _room(new, steps) != _room(old, steps):
                ceiling = self._ceiling(site, theta)
                if _room(old, steps) != 1 and bool(ceiling.isfinite().any()):
                    raise _to_convert(site, old, new, "its thresholds leave room for a code")
                others[site.name] = theta.minimum(ceiling / _room(new, steps))
        return {**thresholds, **others} if others else thresholds

    def _within_ceiling(self, site: Site, theta: Tensor, steps: int) -> Tensor:
        """A threshold at which counts end where the activation does, if the code leaves room.

        Such a code counts beyond L, and would send more than ReLU6 or QCFS lets pass.
        """
        room = _room(self.neurons[site.name], steps)
        if room == 1 or not site.rectifies:
            return theta
        return theta.minimum(self._ceiling(site, theta) / room)

    def _ceiling(self, site: Site, theta: Tensor) -> Tensor:
        """Where the activation ends: learned, or of its function; infinite for ReLU."""
        return self.learned.get(site.name, theta.new_tensor(site.ceiling)).to(theta)


def _room(neuron: Neuron, steps: int) -> float:
    """How far beyond L it counts, as a multiple of L."""
    return neuron.reach(steps) / neuron.levels(steps)


def _to_convert(site: Site, old: Neuron, new: Neuron, why: str) -> ConversionError:
    return ConversionError(
        f"thresholds at '{site.name}' were chosen for '{old.label}' and do not serve "
        f"'{new.label}': {why}; convert the model with it, convert(..., neuron=...)"
    )
