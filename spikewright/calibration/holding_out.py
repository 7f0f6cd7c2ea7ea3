"""Calibration samples held out, and what is known without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
    _divided: dict[int, tuple[Samples, Samples]] = field(default_factory=dict, repr=False)
    _seen: dict[int, Mapping[str, SiteStatistics]] = field(default_factory=dict, repr=False)

    def held_out(self, fold: int) -> Samples:
        """The samples of a fold."""
        return self._division(fold)[1]

    def fitted(self, fold: int) -> Samples:
        """All samples but those of a fold."""
        fitted, others = self._division(fold)
        whole = self.samples.input_means
        means = {
            site: (mean * len(self.samples) - others.input_means[site] * len(others)) / len(fitted)
            for site, mean in whole.items()
        }
        return replace(fitted, known_means=means)

    def statistics(self, fold: int, most: int | None = None) -> dict[str, SiteStatistics]:
        """Statistics without the samples of a fold, by site name.

        A site that is silent there keeps those of all samples.

        Args:
            fold: below `count`.
            most: so many samples are enough, in whole folds; None for all of them.
        """
        taken, samples = list[Mapping[str, SiteStatistics]](), 0
        for other in (n % self.count for n in range(fold + 1, fold + self.count)):
            taken.append(self._of_fold(other))
            samples += len(self._division(other)[1])
            if most is not None and samples >= most:
                break
        merged = dict(taken[0])
        for more in taken[1:]:
            merged = {site: seen.merged(more[site]) for site, seen in merged.items()}
        return {
            site: replace(seen, signed=self.whole[site].signed)
            if bool((seen.maximum > 0).any())
            else self.whole[site]
            for site, seen in merged.items()
        }

    def _division(self, fold: int) -> tuple[Samples, Samples]:
        if fold not in self._divided:
            self._divided[fold] = self.samples.divided(self.count, fold)
        return self._divided[fold]

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
