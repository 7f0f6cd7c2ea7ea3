from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.report import SiteRow, Thresholds
from spikewright.report.bins import RATE_EDGES, THRESHOLD_BINS, binned, rate_counts, threshold_edges

POSITIVE = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50)


@given(st.lists(POSITIVE, min_size=1, max_size=4))
def test_every_threshold_lies_in_the_bins(layers: list[list[float]]) -> None:
    thresholds = [torch.tensor(layer) for layer in layers]
    edges = threshold_edges(thresholds)
    assert len(edges) in (2, THRESHOLD_BINS + 1)
    assert all(a < b for a, b in pairwise(edges))
    for theta in thresholds:
        assert edges[0] <= float(theta.min())
        assert float(theta.max()) <= edges[-1]
        assert sum(binned(theta, edges)) == len(theta)


@given(st.lists(st.floats(-1, 2), max_size=40))
def test_bins_are_those_of_a_loop(values: list[float]) -> None:
    edges = (0.0, 0.25, 0.5, 1.0)
    expected = [0, 0, 0]
    for value in values:
        expected[0 if value < 0.25 else 1 if value < 0.5 else 2] += 1
    assert binned(torch.tensor(values, dtype=torch.float64), edges) == tuple(expected)


def test_silent_neurons_are_counted_apart() -> None:
    found = rate_counts(torch.tensor([[0.0, 0.0, 0.05], [0.1, 1.0, 0.0]], dtype=torch.float64))
    assert found == (3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1)
    assert len(found) == len(RATE_EDGES)


def test_histograms_that_do_not_fit_are_refused() -> None:
    row = SiteRow("a", 4, 1, 1.0, 1.0, 1.0, 0.5, (1,), (0,) * 11)
    Thresholds("IF", 4, 10, (row,), (0.5, 1.5), RATE_EDGES)
    with pytest.raises(ValueError, match="histograms of a do not fit"):
        Thresholds("IF", 4, 10, (row,), (0.5, 1.0, 1.5), RATE_EDGES)
