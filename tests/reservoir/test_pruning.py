"""Pruning: its probabilities by naive loops, its means, and the case where a theorem holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from spikewright.errors import AnalysisError
from spikewright.reservoir import (
    ReservoirRecipe,
    draw_reservoir,
    keep_probabilities,
    noise_covariance,
    noise_importance,
    sampled_edges,
    strongest_edges,
)

DOUBLE = torch.float64
NET = draw_reservoir(ReservoirRecipe(neurons=12, density=0.5), 0)


def test_the_covariance_of_silent_neurons_is_known() -> None:
    """Thresholds out of reach: `u <- a u + noise` varies by noise^2 / (1 - a^2), each alone."""
    quiet = replace(NET, thresholds=torch.full_like(NET.thresholds, 1e3))
    covariance = noise_covariance(quiet, noise=0.3, steps=300, runs=100, washout=200)
    wanted = 0.09 / (1 - NET.decay**2)
    torch.testing.assert_close(covariance.diagonal(), wanted, rtol=0.15, atol=0)
    scale = wanted.sqrt()
    correlation = covariance / (scale[:, None] * scale)
    assert float((correlation - torch.eye(12)).abs().max()) < 0.2


def test_the_covariance_is_numpys() -> None:
    draw = torch.Generator().manual_seed(7)
    kicks = 0.2 * torch.randn(30, 4, 12, generator=draw, dtype=DOUBLE)
    potentials = NET.run(torch.zeros(30, 4, dtype=DOUBLE), kicks).potentials[10:]
    wanted = np.cov(potentials.reshape(-1, 12).numpy(), rowvar=False)
    found = noise_covariance(NET, noise=0.2, steps=20, runs=4, washout=10, seed=7)
    assert np.abs(found.numpy() - wanted).max() < 1e-12


def test_importance_is_that_of_a_naive_loop() -> None:
    covariance = noise_covariance(NET, steps=50, runs=8)
    found = noise_importance(NET.felt_weights, covariance)
    c, alpha = covariance.numpy(), NET.decay.numpy()
    for i in range(12):
        for j in range(12):
            w = (1 - alpha[i]) * float(NET.weights[i, j])
            sign = -2 if w > 0 else 2
            wanted = abs(w) * (c[i, i] + c[j, j] + sign * c[i, j])
            assert float(found[i, j]) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95, 1.0])
def test_probabilities_keep_the_share_wanted(kept: float) -> None:
    importance = torch.rand(12, 12, dtype=DOUBLE).pow(4) * (torch.rand(12, 12) < 0.6)
    found = keep_probabilities(importance, kept)
    edges = importance[importance > 0].numpy()
    assert float(found.sum()) == pytest.approx(kept * len(edges))
    if kept == 1:
        assert torch.equal(found, (importance > 0).to(DOUBLE))
    else:  # one scale for all, found by another way
        scale = brentq(lambda k: np.minimum(1, k * edges).sum() - kept * len(edges), 0, 1e9)
        wanted = (importance * float(np.asarray(scale))).clamp(max=1)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def test_where_there_are_no_edges_none_is_kept() -> None:
    assert not keep_probabilities(torch.zeros(3, 3), 0.5).any()


def test_edges_are_kept_with_their_probabilities_and_right_in_the_mean() -> None:
    importance = noise_importance(NET.felt_weights, noise_covariance(NET, steps=50, runs=8))
    probability = keep_probabilities(importance, 0.5)
    draws = torch.stack([sampled_edges(NET.weights, probability, seed) for seed in range(2000)])
    kept = (draws != 0).to(DOUBLE).mean(0)
    error = (probability * (1 - probability) / 2000).sqrt()
    assert bool(((kept - probability).abs() <= 5 * error).all())
    off = (draws.mean(0) - NET.weights).abs()
    assert bool((off <= 5 * error * (NET.weights / probability).abs().nan_to_num() + 1e-12).all())
    assert torch.equal(draws[3], sampled_edges(NET.weights, probability, 3))


def test_magnitude_pruning_keeps_the_strongest() -> None:
    left = strongest_edges(NET.weights, 0.5)
    gone = NET.weights[(left == 0) & (NET.weights != 0)].abs()
    assert torch.equal(left[left != 0], NET.weights[left != 0])
    assert int((left != 0).sum()) == round(0.5 * NET.edges)
    assert gone.max() <= left[left != 0].abs().min()


def test_noise_finds_the_only_way_between_two_clusters() -> None:
    """Of weights that are all alike, the bridge is the least redundant: importance is the
    resistance between its ends, 2 / n in a cluster of n and 1 over a bridge, for a small leak."""
    weights = torch.zeros(20, 20, dtype=DOUBLE)
    weights[:10, :10] = weights[10:, 10:] = 1 - torch.eye(10, dtype=DOUBLE)
    weights[0, 10] = weights[10, 0] = 1
    network = weights - torch.diag(weights.sum(1) + 1e-4)
    covariance = -torch.linalg.inv(network)  # of A C + C A' = -2
    importance = noise_importance(weights, covariance)
    assert float(importance[0, 10]) == pytest.approx(1, rel=0.01)
    assert float(importance[1, 2]) == pytest.approx(0.2, rel=0.01)


def test_what_does_not_fit_is_refused() -> None:
    weights = NET.weights
    with pytest.raises(AnalysisError, match="noise must be above 0"):
        noise_covariance(NET, noise=0.0)
    with pytest.raises(AnalysisError, match=r"weights and covariance are \[H, H\] each"):
        noise_importance(weights, weights[:3])
    for kept in (0.0, 1.5):
        with pytest.raises(AnalysisError, match=f"kept must be above 0 and at most 1, got {kept}"):
            keep_probabilities(weights.abs(), kept)
        with pytest.raises(AnalysisError, match="kept must be above 0"):
            strongest_edges(weights, kept)
    with pytest.raises(AnalysisError, match="at least 0"):
        keep_probabilities(-weights.abs(), 0.5)
    with pytest.raises(AnalysisError, match=r"probabilities in 0 .. 1 .* \(12, 12\)"):
        sampled_edges(weights, torch.ones(3, 3), 0)
    with pytest.raises(AnalysisError, match="probabilities in"):
        sampled_edges(weights, weights.abs() + 2, 0)
