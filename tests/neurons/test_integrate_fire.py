"""Integrate-and-fire against a naive loop, and the charge it keeps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
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


def test_hard_reset_loses_the_charge_above_threshold():
    dynamics = IntegrateFire(reset="hard", v0=0).start(layer(1.0, 2))
    spikes = dynamics.advance(torch.tensor([1.75, 0.5], dtype=torch.float64)[:, None, None])
    assert spikes.flatten().tolist() == [1, 0]
    assert dynamics.residual.item() == 0.5


@pytest.mark.parametrize("v0", [1.0, 2.0, float("nan"), float("inf")])
def test_an_initial_potential_at_or_above_threshold_is_refused(v0):
    with pytest.raises(ValueError, match="v0 must be finite and below 1"):
        IntegrateFire(v0=v0)


def test_an_unknown_reset_is_refused():
    with pytest.raises(ValueError, match="'half' is not a valid Reset"):
        IntegrateFire(reset="half")


def test_integrate_fire_has_no_count_law():
    with pytest.raises(TypeError, match="IF has no count law"):
        IntegrateFire().count(torch.ones(1), layer(1.0, 4))
