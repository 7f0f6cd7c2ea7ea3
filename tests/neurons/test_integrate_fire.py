"""Integrate-and-fire against a naive loop, and the charge it keeps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikewright.neurons import IntegrateFire
from tests.builders import layer


def naive_spikes(currents: list[float], theta: float, v0: float, hard: bool) -> list[int]:
    v, spikes = v0 * theta, []
    for z in currents:
        v = v + z
        fires = v >= theta
        if fires:
            v = 0.0 if hard else v - theta
        spikes.append(int(fires))
    return spikes


currents = st.lists(st.floats(-2, 2, allow_subnormal=False), min_size=1, max_size=12)
thresholds = st.floats(0.1, 3)


@settings(max_examples=60, derandomize=True)
@given(currents, thresholds, st.sampled_from([0.0, 0.25, 0.5]), st.booleans())
def test_spikes_are_those_of_the_naive_loop(z, theta, v0, hard):
    neuron = IntegrateFire(reset="hard" if hard else "soft", v0=v0)
    dynamics = neuron.start(layer(theta, len(z)))
    spikes = dynamics.advance(torch.tensor(z, dtype=torch.float64)[:, None, None])
    assert spikes.flatten().tolist() == naive_spikes(z, theta, v0, hard)


@settings(max_examples=60, derandomize=True)
@given(currents, thresholds, st.sampled_from([0.0, 0.5]))
def test_soft_reset_conserves_charge(z, theta, v0):
    dynamics = IntegrateFire(v0=v0).start(layer(theta, len(z)))
    spikes = dynamics.advance(torch.tensor(z, dtype=torch.float64)[:, None, None])
    kept = spikes.sum() + dynamics.residual.squeeze()
    assert float(kept) == pytest.approx(v0 + sum(z) / theta, abs=1e-9)


@settings(max_examples=60, derandomize=True)
@given(st.floats(-1, 2), thresholds, st.integers(1, 40))
def test_a_shift_rounds_a_constant_current_to_nearest_as_v0_does(z, theta, steps):
    """Deng & Gu's shift of the bias, Bu et al.'s initial potential, and the nearest count."""
    fraction = (steps * z / theta + 0.5) % 1
    assume(1e-9 < fraction < 1 - 1e-9)  # at a tie, rounding of the sums decides
    current = torch.full((steps, 1, 1), z, dtype=torch.float64)
    expected = min(max(math.floor(steps * z / theta + 0.5), 0), steps)
    for neuron in (IntegrateFire(v0=0, shift=0.5), IntegrateFire(v0=0.5)):
        assert int(neuron.start(layer(theta, steps)).advance(current).sum()) == expected
        mean, _ = neuron.expected_count(torch.tensor(steps * z / theta).clamp(min=0), steps)
        assert mean.item() == expected


@pytest.mark.parametrize(("v0", "shift"), [(0.0, 0.0), (0.5, 0.0), (-2.5, 0.0), (0.25, 0.5)])
@pytest.mark.parametrize("steps", [1, 2, 7, 10, 64])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_expected_counts_are_those_of_charge_that_comes_evenly(reset, steps, v0, shift):
    """Charges are irrational, and v0 and shift are not, so no potential ends at the threshold."""
    neuron = IntegrateFire(reset, v0=v0, shift=shift)
    charge = torch.arange(400, dtype=torch.float64) * (2**0.5 / 300) * steps
    current = (charge / steps).expand(steps, 1, -1)
    counts = neuron.start(layer(1.0, steps)).advance(current).sum(0)
    mean, variance = neuron.expected_count(charge[None], steps)
    assert torch.equal(mean, counts)
    assert bool((variance == 0).all())


def test_a_hard_reset_is_another_neuron_to_thresholds_than_a_soft_one():
    hard = IntegrateFire("hard", v0=0)
    charge = torch.tensor([0.0, 6.0, 10.0, 25.0])
    assert hard.expected_count(charge, 10)[0].tolist() == [0, 5, 10, 10]
    assert hard.evenly_driven == hard != IntegrateFire(v0=0).evenly_driven


@pytest.mark.parametrize("shift", [0.5, -3.0])
def test_neurons_share_thresholds_with_neurons_of_the_same_counts_alone(shift):
    neuron, charge = IntegrateFire(v0=0.0, shift=shift), torch.linspace(0, 20, 81)
    alike = neuron.evenly_driven.expected_count(charge, 4)[0]
    assert torch.equal(alike, neuron.expected_count(charge, 4)[0])


def test_a_shift_arrives_step_by_step():
    dynamics = IntegrateFire(v0=0, shift=0.5).start(layer(2.0, 4))
    spikes = dynamics.advance(
        torch.tensor([1.5, 0.0, 0.0, 0.0], dtype=torch.float64)[:, None, None]
    )
    # theta / 2T = 0.25 a step: 1.75, 2.0 -> fires, 0.25, 0.5; v0 = 1/2 would fire at once
    assert spikes.flatten().tolist() == [0, 1, 0, 0]
    assert dynamics.residual.item() == 0.25


def test_the_initial_potential_of_a_layer_adds_to_v0():
    start = replace(layer(2.0, 3), potential=torch.tensor([[0.5, 1.0]], dtype=torch.float64))
    spikes = IntegrateFire(v0=0.25).start(start).advance(torch.full((3, 1, 2), 0.5).double())
    # v = 1.0 and 1.5, then 0.5 a step
    assert spikes[:, 0].tolist() == [[0, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize("shift", [0.5, 1.0, float("nan"), float("inf"), None, "0"])
def test_a_shift_that_fires_without_input_is_refused(shift):
    with pytest.raises(ValueError, match=r"v0 \+ shift below 1"):
        IntegrateFire(shift=shift)


def test_hard_reset_loses_the_charge_above_threshold():
    dynamics = IntegrateFire(reset="hard", v0=0).start(layer(1.0, 2))
    spikes = dynamics.advance(torch.tensor([1.75, 0.5], dtype=torch.float64)[:, None, None])
    assert spikes.flatten().tolist() == [1, 0]
    assert dynamics.residual.item() == 0.5


@pytest.mark.parametrize("v0", [1.0, 2.0, float("nan"), float("inf"), None, "0"])
def test_an_initial_potential_at_or_above_threshold_is_refused(v0):
    with pytest.raises(ValueError, match="v0 must be finite and below 1"):
        IntegrateFire(v0=v0)


def test_an_unknown_reset_is_refused():
    with pytest.raises(ValueError, match="'half' is not a valid Reset"):
        IntegrateFire(reset="half")


def test_integrate_fire_has_no_count_law():
    with pytest.raises(TypeError, match="IF has no count law"):
        IntegrateFire().count(torch.ones(1), layer(1.0, 4))
