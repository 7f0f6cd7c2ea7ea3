"""The membrane of a leaky neuron: its equation beside its simulation in time steps."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from spikewright.errors import EquationError
from spikewright.mechanistic import membrane, simulated_membrane

DOUBLE = torch.float64


@pytest.fixture
def current() -> Tensor:
    """Of two neurons over 200 steps, drawn anew at every step."""
    return 4 * torch.rand(2, 200, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)


TAU = torch.tensor([10.0, 20.0], dtype=DOUBLE)


def test_the_simulation_is_that_of_a_loop_by_hand(current: Tensor) -> None:
    v, spikes = simulated_membrane(current, TAU, threshold=1.5, step=2.0)
    for neuron, tau in enumerate(TAU.tolist()):
        a, potential = math.exp(-2.0 / tau), 0.0
        for t in range(200):
            potential = a * potential + (1 - a) * float(current[neuron, t])
            sent = potential >= 1.5
            potential -= 1.5 * sent
            assert bool(spikes[neuron, t]) == sent
            assert float(v[neuron, t]) == pytest.approx(potential, abs=1e-12)
    assert spikes.sum() > 40


def test_the_equation_has_the_potentials_of_the_simulation(current: Tensor) -> None:
    """Closer with every order of its Taylor series."""
    v, spikes = simulated_membrane(current, TAU)
    apart = [
        float((membrane(current, TAU, spikes, order=o) - v).abs().max()) for o in (1, 2, 3, 4, 5)
    ]
    assert all(later < earlier for earlier, later in pairwise(apart))
    assert apart[-1] < 1e-6


def test_a_step_of_another_length_changes_units_alone(current: Tensor) -> None:
    """But for what is left of the Taylor series, which other weights share out otherwise."""
    _, spikes = simulated_membrane(current, TAU)
    v = membrane(current, TAU, spikes)
    scaled = membrane(current, TAU / 1000, spikes, step=0.001)
    torch.testing.assert_close(scaled, v, rtol=0, atol=1e-4)


def test_gradients_of_currents_and_time_constants_are_right(current: Tensor) -> None:
    current, tau = current[:, :12].clone().requires_grad_(), TAU.clone().requires_grad_()
    _, spikes = simulated_membrane(current.detach(), TAU)
    assert torch.autograd.gradcheck(lambda i, t: membrane(i, t, spikes), (current, tau))


def test_a_time_constant_is_found_from_a_noisy_recording(current: Tensor) -> None:
    v, spikes = simulated_membrane(current, TAU)
    current, v, spikes = (part[:, :100] for part in (current, v, spikes))
    noisy = v + 0.05 * torch.randn(v.shape, dtype=DOUBLE)
    logarithm = torch.full((2,), math.log(5.0), dtype=DOUBLE, requires_grad=True)
    fit = torch.optim.LBFGS([logarithm], max_iter=12, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        fit.zero_grad()
        error = (membrane(current, logarithm.exp(), spikes) - noisy).square().mean()
        error.backward()
        return error

    fit.step(loss)
    assert logarithm.exp().tolist() == pytest.approx(TAU.tolist(), rel=0.1)


def test_what_does_not_fit_is_refused(current: Tensor) -> None:
    spikes = torch.zeros_like(current)
    with pytest.raises(EquationError, match=r"current \[B, T\] goes with a time constant \[B\]"):
        simulated_membrane(current, TAU[:1])
    with pytest.raises(EquationError, match=r"threshold \(0.0\), step"):
        simulated_membrane(current, TAU, threshold=0.0)
    with pytest.raises(EquationError, match="every time constant must be above 0"):
        membrane(current, -TAU, spikes)
    with pytest.raises(EquationError, match="spikes have the shape of the current"):
        membrane(current, TAU, spikes[:, 1:])
    with pytest.raises(EquationError, match="order of the membrane's Taylor series"):
        membrane(current, TAU, spikes, order=0)
