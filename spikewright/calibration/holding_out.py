"""Calibration samples held out, and what is known without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spikewright.calibration.collecting import collect
from spikewright.calibration.samples import Samples
from spikewright.calibration.statistics import SiteStatistics

HELD_OUT = 4
"""Every fourth sample is held out."""

LEAST_SAMPLES = 2 * HELD_OUT
"""Fewer would leave one sample or none to judge by."""


@dataclass(frozen=True)
class Division:
    """Samples in two parts.

    Attributes:
        fitted: three of four, with their input means.
        statistics: by site name, of those alone.
        others: every fourth one.
    """

    fitted: Samples
    statistics: Mapping[str, SiteStatistics]
    others: Samples


def divided(samples: Samples, statistics: Mapping[str, SiteStatistics], first: int = 0) -> Division:
    """Hold out every fourth sample; the ANN runs once over the others.

    Args:
        samples: at least 8.
        statistics: by site name, of all samples; a site that is silent on the others keeps its.
        first: the number of the first one held out, below 4.
    """
    fitted, others = samples.divided(HELD_OUT, first)
    collected = collect(fitted.graph, fitted.parts)
    own = {
        site: seen if bool((seen.maximum > 0).any()) else statistics[site]
        for site, seen in collected.statistics.items()
    }
    means = collected.input_means(dict(enumerate(fitted.parts)))
    return Division(replace(fitted, input_means=means), own, others)
