"""Calibration samples held out, and what is known without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from spikewright.calibration.collecting import collect
from spikewright.calibration.samples import Samples
from spikewright.calibration.statistics import SiteStatistics

HELD_OUT = 4
"""Every fourth sample is held out, where nothing else is said."""

LEAST_SAMPLES = 2 * HELD_OUT
"""Fewer would leave one sample or none to judge by."""


@dataclass(frozen=True)
class Folds:
    """Samples dealt out in turn to some folds, any of which may be held out; made by `folds_of`.

    What the ANN shows on a fold is found when it is asked for, and once.

    Attributes:
        samples: at least 8.
        whole: statistics of all of them, by site name.
        count: of folds, at least 2.
    """

    samples: Samples
    whole: Mapping[str, SiteStatistics]
    count: int
    _held_out: dict[int, Samples] = field(default_factory=dict, repr=False)
    _fitted: dict[int, Samples] = field(default_factory=dict, repr=False)
    _seen: dict[int, Mapping[str, SiteStatistics]] = field(default_factory=dict, repr=False)

    def held_out(self, fold: int) -> Samples:
        """The samples of a fold."""
        if fold not in self._held_out:
            self._held_out[fold] = self.samples.selected(self._inside(fold))
        return self._held_out[fold]

    def fitted(self, fold: int) -> Samples:
        """All samples but those of a fold."""
        if fold not in self._fitted:
            fitted, others = self.samples.selected(~self._inside(fold)), self.held_out(fold)
            sizes = len(self.samples), len(others), len(fitted)
            means = {
                site: (mean * sizes[0] - others.input_means[site] * sizes[1]) / sizes[2]
                for site, mean in self.samples.input_means.items()
            }
            self._fitted[fold] = replace(fitted, known_means=means)
        return self._fitted[fold]

    def statistics(self, fold: int, most: int | None = None) -> dict[str, SiteStatistics]:
        """Statistics without the samples of a fold, by site name; sites that are alike share them.

        A site that is silent there keeps those of all samples.

        Args:
            fold: below `count`.
            most: so many samples are enough, in whole folds; None for all of them.
        """
        taken, samples = list[Mapping[str, SiteStatistics]](), 0
        for other in (n % self.count for n in range(fold + 1, fold + self.count)):
            taken.append(self._of_fold(other))
            samples += len(self.held_out(other))
            if most is not None and samples >= most:
                break
        found: dict[str, SiteStatistics] = {}
        for members in self.samples.graph.groups.values():
            first = members[0]
            seen = taken[0][first]
            for more in taken[1:]:
                seen = seen.merged(more[first])
            known = self.whole[first]
            fires = bool((seen.maximum > 0).any())
            alike = replace(seen, signed=known.signed) if fires else known
            found |= dict.fromkeys(members, alike)
        return found

    def _inside(self, fold: int) -> Tensor:
        return torch.arange(len(self.samples)) % self.count == fold

    def _of_fold(self, fold: int) -> Mapping[str, SiteStatistics]:
        if fold not in self._seen:
            others = self.held_out(fold)
            self._seen[fold] = collect(others.graph, others.parts).statistics
        return self._seen[fold]


def folds_of(samples: Samples, whole: Mapping[str, SiteStatistics], count: int = HELD_OUT) -> Folds:
    """Samples dealt out to folds; the same ones each time.

    Args:
        samples: at least 8.
        whole: statistics of all of them, by site name.
        count: of folds, at least 2.
    """
    return samples.folds.setdefault(count, Folds(samples, whole, count))
