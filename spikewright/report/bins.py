"""Histograms of thresholds and of firing rates, in bins that all layers of a network share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

THRESHOLD_BINS = 24
RATE_EDGES = tuple(k / 10 for k in range(11))
"""Edges of the bins of mean rates; neurons that never fire are counted before the first bin."""
_ROOM = 1e-6
"""The fraction of the range added at either end, so that rounding keeps the extremes inside."""


def threshold_edges(thresholds: Sequence[Tensor]) -> tuple[float, ...]:
    """Edges of `THRESHOLD_BINS` bins of equal ratio that hold every threshold.

    There is one bin when all thresholds are equal.

    Args:
        thresholds: positive, of one layer each, any shape.
    """
    low = min(float(theta.min()) for theta in thresholds)
    high = max(float(theta.max()) for theta in thresholds)
    if math.isclose(low, high, rel_tol=1e-6):
        return (low / 1.1, high * 1.1)
    start, span = math.log(low), math.log(high / low)
    start, span = start - _ROOM * span, span * (1 + 2 * _ROOM)
    return tuple(math.exp(start + span * k / THRESHOLD_BINS) for k in range(THRESHOLD_BINS + 1))


def binned(values: Tensor, edges: Sequence[float]) -> tuple[int, ...]:
    """How many values lie in each bin; the first and last bin also hold all beyond.

    Args:
        values: any shape.
        edges: ascending, one more than there are bins; a bin holds its lower edge.
    """
    inner = torch.tensor(edges[1:-1], dtype=torch.float64, device="cpu")
    places = torch.bucketize(values.detach().cpu().double().flatten(), inner, right=True)
    return tuple(torch.bincount(places, minlength=len(edges) - 1).tolist())


def rate_counts(rates: Tensor) -> tuple[int, ...]:
    """How many neurons are silent, then how many have their rate in each bin of `RATE_EDGES`.

    Args:
        rates: mean magnitude of a count over the largest of each neuron, 0 .. 1, any shape.
    """
    firing = rates[rates > 0]
    return (rates.numel() - firing.numel(), *binned(firing, RATE_EDGES))
