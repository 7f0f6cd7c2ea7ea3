"""Escape noise beside numpy, and how often it fires."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spikewright.intrinsic import Escape, EscapeNoise
from spikewright.neurons import Draws

DOUBLE = torch.float64


@pytest.mark.parametrize("escape", list(Escape))
def test_probabilities_are_those_of_the_formula(escape: Escape) -> None:
    noise = EscapeNoise(0.4, escape)
    distance = np.linspace(-3, 3, 61)
    wanted = {
        Escape.LOGISTIC: 1 / (1 + np.exp(-distance / 0.4)),
        Escape.EXPONENTIAL: 1 - np.exp(-np.exp(distance / 0.4)),
    }[escape]
    found = noise.probability(torch.from_numpy(distance)).numpy()
    assert np.abs(found - wanted).max() < 1e-12
    step = 1e-6
    around = [noise.probability(torch.from_numpy(distance + d)) for d in (-step, step)]
    slope = noise.slope(torch.from_numpy(distance))
    torch.testing.assert_close(slope, (around[1] - around[0]) / (2 * step), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("escape", list(Escape))
def test_far_from_the_threshold_nothing_is_lost(escape: Escape) -> None:
    far = torch.tensor([-1e4, 1e4], dtype=DOUBLE, requires_grad=True)
    noise = EscapeNoise(0.1, escape)
    assert noise.probability(far).tolist() == [0.0, 1.0]
    assert noise.slope(far).tolist() == [0.0, 0.0]
    noise.probability(far).sum().backward()
    assert far.grad is not None
    assert far.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("escape", list(Escape))
def test_spikes_come_as_often_as_their_probability_says(escape: Escape) -> None:
    noise, count = EscapeNoise(0.5, escape), 40_000
    distance = torch.tensor([-1.0, -0.2, 0.0, 0.7], dtype=DOUBLE).expand(count, 4)
    draw = Draws(3, "here", torch.arange(count)).uniform(0, (count, 4))
    spikes = noise.spikes(distance, draw)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    p = noise.probability(distance[0])
    assert bool(((spikes.mean(0) - p).abs() < 5 * (p * (1 - p) / count).sqrt()).all())


def test_a_spike_has_the_gradient_of_its_probability() -> None:
    distance = torch.randn(50, dtype=DOUBLE, requires_grad=True)
    noise = EscapeNoise(0.5)
    noise.spikes(distance, torch.rand(50)).sum().backward()
    assert distance.grad is not None
    torch.testing.assert_close(distance.grad, noise.slope(distance.detach()))


def test_narrow_noise_is_a_threshold() -> None:
    distance = torch.randn(1000, dtype=DOUBLE)
    spikes = EscapeNoise(1e-9).spikes(distance, torch.rand(1000))
    assert torch.equal(spikes, (distance > 0).to(DOUBLE))


def test_what_means_nothing_is_refused() -> None:
    for width in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match=r"width must be above 0.*firing=MultiGaussian"):
            EscapeNoise(width)
    with pytest.raises(ValueError, match="escape is logistic or exponential, got 'step'"):
        EscapeNoise(1.0, "step")
