"""Eigenvalues of the integration, beside numpy's and beside what a simulation shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spikewright.errors import ModelError
from spikewright.intrinsic import (
    EscapeNoise,
    SelfConnectedLayer,
    SelfConnection,
    integration_matrix,
    mean_matrix,
    mode_time_constants,
)

DOUBLE = torch.float64


def layer(
    connection: SelfConnection | None,
    taus: list[float],
    weights: Tensor | None = None,
    *,
    threshold: float = 1e9,
    firing: EscapeNoise | None = None,
) -> SelfConnectedLayer:
    """As many neurons as inputs, one for each; by default none ever spikes."""
    count = len(taus)
    made = SelfConnectedLayer(count, count, connection, firing, threshold=threshold).to(DOUBLE)
    with torch.no_grad():
        made.inward.weight.copy_(torch.eye(count))
        made.log_tau.copy_(torch.tensor(taus, dtype=DOUBLE).log())
        if made.self_weights is not None and weights is not None:
            made.self_weights.copy_(weights)
    return made.requires_grad_(False)


def simulated(made: SelfConnectedLayer, steps: int = 12) -> np.ndarray:
    """The matrix that takes potentials from step to step, by least squares on pulses."""
    x = torch.zeros(steps, made.units, made.units, dtype=DOUBLE)
    x[0] = torch.eye(made.units)  # in run n, input n has a pulse
    u = made.observe(x).potentials.numpy()
    before, after = (u[a:b].reshape(-1, made.units) for a, b in ((0, -1), (1, None)))
    return np.linalg.lstsq(before, after, rcond=None)[0].T


FULL = torch.tensor([[0.2, -2.0, 0.1], [2.5, 0.3, 0.0], [0.4, 0.0, -1.0]], dtype=DOUBLE)


@pytest.mark.parametrize(
    ("connection", "weights"),
    [
        (None, None),
        (SelfConnection("diagonal"), torch.tensor([0.5, -1.0, 1.2])),
        (SelfConnection("full"), FULL),
        (SelfConnection("full", "spikes"), FULL),
    ],
)
def test_eigenvalues_are_those_of_the_simulation(
    connection: SelfConnection | None, weights: Tensor | None
) -> None:
    made = layer(connection, [4.0, 9.0, 20.0], weights)
    found = np.sort_complex(np.linalg.eigvals(integration_matrix(made).numpy()))
    shown = np.sort_complex(np.linalg.eigvals(simulated(made)))
    assert np.abs(found - shown).max() < 1e-8


def test_connections_that_carry_spikes_leave_the_eigenvalues_to_the_time_constants() -> None:
    taus = [4.0, 9.0, 20.0]
    for connection in (None, SelfConnection("full", "spikes")):
        made = layer(connection, taus, FULL)
        found = mode_time_constants(integration_matrix(made)).sort().values
        torch.testing.assert_close(found, torch.tensor(taus, dtype=DOUBLE))


def test_a_diagonal_changes_the_time_constant_as_its_formula_says() -> None:
    """tau / (1 - v) in continuous time, which a step much shorter than tau comes close to."""
    v = torch.tensor([-1.0, 0.0, 0.5, 0.9], dtype=DOUBLE)
    made = layer(SelfConnection("diagonal"), [1000.0] * 4, v)
    found = mode_time_constants(integration_matrix(made)).sort().values
    torch.testing.assert_close(found, 1000 / (1 - v), rtol=2e-3, atol=0)


@pytest.mark.parametrize(("v", "fires"), [(0.9, False), (1.1, True)])
def test_a_mode_that_grows_fires_for_ever_and_one_that_falls_never(v: float, fires: bool) -> None:
    made = layer(SelfConnection("diagonal"), [10.0], torch.tensor([v]), threshold=1.0)
    grows = mode_time_constants(integration_matrix(made)).item() < 0
    x = torch.zeros(600, 1, 1, dtype=DOUBLE)
    x[0] = 9.0  # a pulse that lifts the potential to 0.86, below the threshold
    spikes = made(x)
    assert grows == fires
    assert (spikes[:300].sum() > 0, spikes[300:].sum() > 0) == (fires, fires)


def test_a_pair_of_complex_eigenvalues_turns_as_fast_as_its_angle() -> None:
    made = layer(SelfConnection("full"), [10.0, 10.0], 3 * torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    value = np.linalg.eigvals(integration_matrix(made).numpy())[0]
    x = torch.zeros(60, 1, 2, dtype=DOUBLE)
    x[0, 0, 0] = 1.0
    u = made.observe(x).potentials[:, 0].numpy()
    angle = np.unwrap(np.angle(u[:, 0] + 1j * u[:, 1]))
    assert np.diff(angle) == pytest.approx([abs(np.angle(value))] * 59)
    assert u[1:, 0] ** 2 + u[1:, 1] ** 2 == pytest.approx(
        abs(value) ** 2 * (u[:-1, 0] ** 2 + u[:-1, 1] ** 2)
    )


def test_the_mean_of_noisy_neurons_follows_its_matrix() -> None:
    """Noise so wide that the probability is straight: connections that carry spikes come in."""
    weights = torch.tensor([[3.0, -6.0], [8.0, -2.0]], dtype=DOUBLE)
    connection, noise = SelfConnection("full", "spikes"), EscapeNoise(20.0)
    made = layer(connection, [5.0, 8.0], weights, firing=noise, threshold=1.0)
    matrix = mean_matrix(made, torch.zeros(2, dtype=DOUBLE)).numpy()
    runs, steps = 40_000, 12
    x = torch.zeros(steps, runs, 2, dtype=DOUBLE)
    x[0] = torch.tensor([40.0, -30.0])
    pulse, rest = (
        made.observe(part, sample_ids=torch.arange(runs)).potentials.mean(1).numpy()
        for part in (x, torch.zeros_like(x))
    )
    moved = pulse - rest  # from step 1 on, what one matrix does to it
    wanted = moved[0]
    for t in range(1, steps):
        wanted = matrix @ wanted
        assert np.abs(moved[t] - wanted).max() < 0.02 * np.abs(moved[0]).max()
    plain = integration_matrix(made).numpy()
    assert np.abs(np.linalg.matrix_power(plain, 6) @ moved[0] - moved[6]).max() > 0.3


def test_the_matrix_of_the_mean_is_the_derivative_of_its_step() -> None:
    made = layer(SelfConnection("full", "spikes"), [4.0, 9.0, 20.0], FULL, firing=EscapeNoise(0.3))
    distance = torch.tensor([0.2, -0.1, 0.4], dtype=DOUBLE)
    alpha = made.decay

    def step(d: Tensor) -> Tensor:
        p = torch.sigmoid(d / 0.3)
        return alpha * d + (1 - alpha) * (FULL @ p) - made.threshold * p

    wanted = torch.autograd.functional.jacobian(step, distance)
    assert isinstance(wanted, Tensor)
    torch.testing.assert_close(mean_matrix(made, distance), wanted)


def test_a_mode_that_keeps_has_an_infinite_time_constant() -> None:
    assert mode_time_constants(torch.eye(2)).isinf().all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match=r"give the layer firing=EscapeNoise"):
        mean_matrix(layer(None, [5.0]), torch.zeros(1, dtype=DOUBLE))
    made = layer(None, [5.0], firing=EscapeNoise(1.0))
    with pytest.raises(ModelError, match=r"distance is \[H\] = \(1,\)"):
        mean_matrix(made, torch.zeros(2, dtype=DOUBLE))
