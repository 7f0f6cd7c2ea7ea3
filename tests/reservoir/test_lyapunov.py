"""Lyapunov exponents where they are known, and the Jacobians of a reservoir."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.recurrent.leaky import leaky_step
from spikewright.reservoir import (
    ReservoirRecipe,
    draw_reservoir,
    lyapunov_spectrum,
    smoothed_jacobians,
)

DOUBLE = torch.float64


def test_those_of_a_linear_map_are_the_logarithms_of_its_eigenvalues() -> None:
    modes = np.array([1.3, 0.9, -0.5, 0.1])
    axes = np.random.default_rng(0).standard_normal((4, 4))
    matrix = axes @ np.diag(modes) @ np.linalg.inv(axes)
    found = lyapunov_spectrum([torch.from_numpy(matrix)] * 300, skipped=100)
    wanted = sorted(np.log(np.abs(np.linalg.eigvals(matrix))), reverse=True)
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)


def test_those_of_a_map_that_changes_are_means_over_time() -> None:
    factors = torch.rand(50, 3, dtype=DOUBLE) * torch.tensor([4.0, 1.0, 0.1], dtype=DOUBLE)
    found = lyapunov_spectrum(torch.diag_embed(factors))
    wanted = factors.log().mean(0).sort(descending=True).values
    torch.testing.assert_close(found, wanted)


def henon(steps: int) -> list[Tensor]:
    x, y, jacobians = 0.1, 0.1, []
    for _ in range(steps):
        jacobians.append(torch.tensor([[-2.8 * x, 1.0], [0.3, 0.0]], dtype=DOUBLE))
        x, y = 1 - 1.4 * x**2 + y, 0.3 * x
    return jacobians


def test_those_of_the_henon_map_are_the_published_ones() -> None:
    """0.419 and -1.623; their sum is the logarithm of 0.3, by which areas shrink everywhere."""
    found = lyapunov_spectrum(henon(4000), skipped=100)
    assert float(found.sum()) == pytest.approx(math.log(0.3), abs=1e-9)
    assert float(found[0]) == pytest.approx(0.419, abs=0.03)


def test_jacobians_are_those_of_the_smoothed_step() -> None:
    """By automatic differentiation of the step with a logistic function for the spike."""
    net = draw_reservoir(ReservoirRecipe(neurons=8, density=0.5), 0)
    u = torch.randn(3, 8, dtype=DOUBLE)

    def step(u: Tensor) -> Tensor:
        s = torch.sigmoid((u - net.thresholds) / 0.3)
        return leaky_step(u, s, net.weights @ s + net.bias, net.decay, net.thresholds)

    for found, point in zip(smoothed_jacobians(net, u, width=0.3), u, strict=True):
        wanted = torch.autograd.functional.jacobian(step, point)
        assert isinstance(wanted, Tensor)
        torch.testing.assert_close(found, wanted)


def test_neurons_far_from_their_thresholds_leak_alone() -> None:
    net = draw_reservoir(ReservoirRecipe(neurons=10, density=0.5), 0)
    quiet = torch.full((20, 10), -1e4, dtype=DOUBLE)
    found = lyapunov_spectrum(smoothed_jacobians(net, quiet, width=0.2))
    wanted = (-1 / net.time_constants).sort(descending=True).values
    torch.testing.assert_close(found, wanted)


def test_what_does_not_fit_is_refused() -> None:
    net = draw_reservoir(ReservoirRecipe(neurons=10, density=0.5), 0)
    with pytest.raises(AnalysisError, match="no Jacobians are left to count after the first 3"):
        lyapunov_spectrum(henon(3), skipped=3)
    with pytest.raises(AnalysisError, match=r"potentials \[T, 10\] of one run"):
        list(smoothed_jacobians(net, torch.zeros(5, 9, dtype=DOUBLE), width=0.2))
    with pytest.raises(AnalysisError, match="a width above 0"):
        list(smoothed_jacobians(net, torch.zeros(5, 10, dtype=DOUBLE), width=0.0))
