"""Reservoirs beside a naive loop, and how they are drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from spikewright.errors import ModelError
from spikewright.reservoir import (
    Gamma,
    Homogeneous,
    Reservoir,
    ReservoirRecipe,
    draw_reservoir,
    filtered,
)

DOUBLE = torch.float64
SMALL = ReservoirRecipe(neurons=20, density=0.3, input_share=0.6, threshold=Gamma(0.5, 0.5))


def loop(net: Reservoir, x: np.ndarray, kicks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One run, neuron by neuron."""
    w, v, b, tau, theta = (
        part.numpy()
        for part in (
            net.weights,
            net.input_weights,
            net.bias,
            net.time_constants,
            net.thresholds,
        )
    )
    count = len(v)
    u, s = np.zeros(count), np.zeros(count)
    potentials, spikes = [], []
    for t in range(len(x)):
        before = s.copy()
        for i in range(count):
            current = v[i] * x[t] + b[i]
            for j in range(count):
                current += w[i, j] * before[j]
            a = math.exp(-1 / tau[i])
            u[i] = a * u[i] + (1 - a) * current - theta[i] * before[i] + kicks[t, i]
            s[i] = float(u[i] > theta[i])
        potentials.append(u.copy())
        spikes.append(s.copy())
    return np.array(potentials), np.array(spikes)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_run_is_that_of_a_naive_loop(noise: float) -> None:
    net = draw_reservoir(SMALL, seed=3)
    x = 2 * torch.rand(40, 3, dtype=DOUBLE) - 1
    kicks = noise * torch.randn(40, 3, 20, dtype=DOUBLE)
    states = net.run(x, kicks if noise else None)
    assert 0.05 < states.spikes.mean() < 0.8
    for run in range(3):
        potentials, spikes = loop(net, x[:, run].numpy(), kicks[:, run].numpy())
        assert np.abs(states.potentials[:, run].numpy() - potentials).max() < 1e-9
        assert (states.spikes[:, run].numpy() == spikes).all()


def test_reservoirs_of_one_seed_share_all_but_what_their_recipes_differ_in() -> None:
    mixed = draw_reservoir(SMALL, 5)
    control = draw_reservoir(replace(SMALL, time_constant=Homogeneous(5.0)), 5)
    for name in ("weights", "input_weights", "bias", "thresholds"):
        assert torch.equal(getattr(mixed, name), getattr(control, name))
    assert control.time_constants.tolist() == [5.0] * 20
    assert mixed.time_constants.unique().numel() == 20
    assert not torch.equal(mixed.weights, draw_reservoir(SMALL, 6).weights)


def test_a_recipe_says_what_is_drawn() -> None:
    recipe = ReservoirRecipe(spectral_radius=2.5, input_gain=2.0, input_share=0.4, bias=0.7)
    net = draw_reservoir(recipe, 0)
    weights = net.weights.numpy()
    assert np.abs(np.linalg.eigvals(weights)).max() == pytest.approx(2.5)
    assert not weights.diagonal().any()
    assert net.edges == np.count_nonzero(weights) == pytest.approx(0.1 * 200 * 199, rel=0.1)
    hears = net.input_weights[net.input_weights != 0]
    assert 0.3 < len(hears) / 200 < 0.5
    assert 1.5 < float(hears.abs().max()) <= 2.0
    assert 0 <= float(net.bias.min()) < 0.2 < 1.2 < float(net.bias.max()) <= 1.4
    assert draw_reservoir(replace(recipe, spectral_radius=0.0), 0).edges == 0


def test_what_a_spike_adds_is_what_the_next_step_shows() -> None:
    net = draw_reservoir(SMALL, 0)
    loud = replace(net, bias=torch.zeros_like(net.bias))
    kicks = torch.zeros(2, 1, 20, dtype=DOUBLE)
    kicks[0, 0, 4] = 100.0  # neuron 4 alone spikes
    u = loud.run(torch.zeros(2, 1, dtype=DOUBLE), kicks).potentials[1, 0]
    others = torch.arange(20) != 4
    torch.testing.assert_close(u[others], net.felt_weights[others, 4])


def test_filtered_spikes_are_those_of_a_recursive_filter() -> None:
    spikes = (torch.rand(60, 2, 3, dtype=DOUBLE) < 0.3).to(DOUBLE)
    rho = math.exp(-1 / 7.0)
    wanted = lfilter([1 - rho], [1, -rho], spikes.numpy(), axis=0)
    assert np.abs(filtered(spikes, 7.0).numpy() - wanted).max() < 1e-12


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"neurons": 1}, "neurons must be at least 2, got 1"),
        ({"density": 0.0}, "density must be above 0"),
        ({"spectral_radius": -1.0}, "spectral_radius must be at least 0"),
        ({"input_gain": 0.0}, "input_gain must be above 0"),
        ({"input_share": 1.1}, "input_share must be above 0 and at most 1"),
        ({"bias": -0.1}, "bias must be at least 0"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(option: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **option)


def test_what_does_not_fit_is_refused() -> None:
    net = draw_reservoir(SMALL, 0)
    with pytest.raises(ModelError, match="have no loop of edges"):
        draw_reservoir(replace(SMALL, density=0.001), 0)
    for shape in ((5,), (0, 3)):
        with pytest.raises(ModelError, match=r"takes an input \[T, B\] with T at least 1"):
            net.run(torch.zeros(shape, dtype=DOUBLE))
    with pytest.raises(ModelError, match=r"kicks are \[T, B, H\] = \(5, 1, 20\)"):
        net.run(torch.zeros(5, 1, dtype=DOUBLE), torch.zeros(5, 20, dtype=DOUBLE))
    with pytest.raises(ModelError, match=r"a reservoir has weights \[H, H\]"):
        net.connected(torch.zeros(20, 3, dtype=DOUBLE))
    with pytest.raises(ModelError, match="must be above 0"):
        replace(net, time_constants=-net.time_constants)
    for steps, tau in ((3, 0.0), (0, 1.0)):
        with pytest.raises(ValueError, match="time_constant must be above 0 and T at least 1"):
            filtered(torch.zeros(steps), tau)
