"""Distributions of time constants beside scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from spikewright.reservoir import Distribution, Gamma, Homogeneous, LogNormal


@pytest.mark.parametrize("variation", [0.3, 1.0])
@pytest.mark.parametrize("mean", [0.5, 20.0])
def test_draws_follow_the_law_that_they_name(mean: float, variation: float) -> None:
    def drawn(law: Distribution) -> np.ndarray:
        return law.draw(4000, np.random.default_rng(1))

    gamma = stats.gamma(1 / variation**2, scale=mean * variation**2)
    width = math.sqrt(math.log(1 + variation**2))
    normal = stats.lognorm(width, scale=mean / math.sqrt(1 + variation**2))
    for law, wanted in ((Gamma(mean, variation), gamma), (LogNormal(mean, variation), normal)):
        assert wanted.mean() == pytest.approx(mean)
        assert wanted.std() == pytest.approx(mean * variation)
        assert stats.kstest(drawn(law), wanted.cdf).pvalue > 1e-3


def test_the_two_laws_are_told_apart() -> None:
    """The test above would see one in place of the other."""
    drawn = Gamma(5.0, 1.0).draw(4000, np.random.default_rng(1))
    width = math.sqrt(math.log(2))
    wrong = stats.lognorm(width, scale=5 / math.sqrt(2))
    assert stats.kstest(drawn, wrong.cdf).pvalue < 1e-6


def test_the_control_is_its_mean_and_draws_nothing() -> None:
    generator = np.random.default_rng(0)
    assert Homogeneous(3.0).draw(3, generator).tolist() == [3.0] * 3
    assert generator.random() == np.random.default_rng(0).random()


def test_every_draw_is_above_zero() -> None:
    """A gamma of large variation has most of its draws below the smallest number there is."""
    assert (Gamma(1.0, 100.0).draw(200, np.random.default_rng(0)) > 0).all()


@pytest.mark.parametrize("law", [Gamma, LogNormal])
def test_what_means_nothing_is_refused(law: type[Gamma | LogNormal]) -> None:
    with pytest.raises(ValueError, match=r"mean must be above 0 and finite, got -1\.0"):
        law(-1.0)
    with pytest.raises(ValueError, match=r"variation must be above 0 and finite, got 0\.0"):
        law(1.0, 0.0)
    with pytest.raises(ValueError, match="mean must be above 0"):
        Homogeneous(math.inf)
