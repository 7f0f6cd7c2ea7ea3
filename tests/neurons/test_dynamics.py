"""The contract of every neuron while it runs: time chunks and rewinding change no bit."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.neurons import (
    SRP,
    TPP,
    Emission,
    IntegrateFire,
    Order,
    Rounding,
    Shuffled,
    StreamingDynamics,
    TwoPhase,
)
from tests.builders import layer

NEURONS = [
    IntegrateFire(),
    IntegrateFire(reset="hard", v0=0),
    IntegrateFire(v0=0, shift=0.5),
    SRP(3),
    SRP(1, IntegrateFire(v0=0.25)),
    *(Shuffled(order=order) for order in Order),
    *(TwoPhase(rounding, emission) for rounding in Rounding for emission in Emission),
]
LEVELS = 11


def run(neuron, current, cuts):
    """The train, its input and its output cut at `cuts`; and the residual."""
    dynamics = neuron.start(layer(0.7, LEVELS, batch=current.shape[1]))
    weights = neuron.step_weights(LEVELS)
    weights = weights * (LEVELS / weights.sum())
    edges = [0, *sorted(c for c in cuts if 0 < c < len(weights)), len(weights)]
    windows = list(pairwise(edges))
    if isinstance(dynamics, StreamingDynamics):
        train = torch.cat([dynamics.advance(current[a:b]) for a, b in windows])
        return train, dynamics.residual
    for a, b in windows:
        dynamics.absorb(current[a:b], weights[a:b])
    dynamics.rewind()
    first = torch.cat([dynamics.emit(b - a) for a, b in windows])
    dynamics.rewind()
    again = torch.cat([dynamics.emit(b - a) for a, b in windows])
    assert torch.equal(first, again), "the train changed after rewind"
    return first, dynamics.residual


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: n.label)
@settings(max_examples=8, derandomize=True)
@given(cuts=st.sets(st.integers(1, LEVELS + 2)), seed=st.integers(0, 1000))
def test_cutting_time_changes_no_bit(neuron, cuts, seed):
    generator = torch.Generator().manual_seed(seed)
    current = torch.rand(neuron.duration(LEVELS), 3, 4, generator=generator, dtype=torch.float64)
    whole, residual = run(neuron, current, set())
    cut, residual_cut = run(neuron, current, cuts)
    assert torch.equal(whole, cut)
    assert torch.equal(residual, residual_cut)
    assert set(whole.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "neuron", [n for n in NEURONS if isinstance(n, TwoPhase)], ids=lambda n: n.label
)
def test_two_phase_neurons_conserve_charge(neuron):
    generator = torch.Generator().manual_seed(0)
    weights = neuron.step_weights(LEVELS)
    current = torch.randn(len(weights), 3, 4, generator=generator, dtype=torch.float64)
    train, residual = run(neuron, current, set())
    charge = (current * weights[:, None, None]).sum(0) * (LEVELS / weights.sum()) / 0.7
    carried = (train * weights[:, None, None]).sum(0)
    torch.testing.assert_close(carried + residual, charge, rtol=0, atol=1e-9)


def test_tpp_is_the_bernoulli_rounding_in_random_order():
    assert TPP() == TwoPhase("bernoulli", "random")
    assert TPP().label == "TPP"
