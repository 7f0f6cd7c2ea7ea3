"""Shuffled trains: counts kept, orders as named, permutations uniform."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch

from spikewright.neurons import TPP, IntegrateFire, Order, Shuffled, SpikeTracer
from tests.builders import assert_distributed, layer

STEPS = 6


def trains(neuron, current):
    """The train of `current` `[T, B, N]` at threshold 1, seed 0."""
    dynamics = neuron.start(layer(1.0, len(current), batch=current.shape[1]))
    dynamics.absorb(current, torch.ones(len(current), dtype=torch.float64))
    dynamics.rewind()
    return dynamics.emit(len(current))


@pytest.fixture
def current():
    return torch.rand(STEPS, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def plain(current):
    return IntegrateFire().start(layer(1.0, STEPS, batch=5)).advance(current)


@pytest.mark.parametrize("order", list(Order))
def test_every_order_keeps_the_counts(order, current, plain):
    shuffled = trains(Shuffled(order=order), current)
    assert torch.equal(shuffled.sum(0), plain.sum(0))
    assert set(shuffled.unique().tolist()) <= {0.0, 1.0}


def test_early_late_and_reversed_are_exact(current, plain):
    ordered = plain.sort(dim=0).values
    assert torch.equal(trains(Shuffled(order="late"), current), ordered)
    assert torch.equal(trains(Shuffled(order="early"), current), ordered.flip(0))
    assert torch.equal(trains(Shuffled(order="reversed"), current), plain.flip(0))


def test_shared_is_one_permutation_for_all_neurons_of_a_sample(current, plain):
    shuffled = trains(Shuffled(order="shared"), current)
    used = []
    for sample in range(5):
        fitting = [
            p
            for p in permutations(range(STEPS))
            if torch.equal(plain[list(p), sample], shuffled[:, sample])
        ]
        assert fitting
        used.append(fitting)
    assert not set(used[0]).intersection(*map(set, used[1:])), "samples must differ"


def test_independent_permutations_place_spikes_uniformly():
    batch = 12_000
    current = torch.zeros(4, batch, 1, dtype=torch.float64)
    current[0] += 0.5
    current[1] += 1.0  # with v0 = 1/2: spikes at steps 0 and 1, always
    shuffled = trains(Shuffled(), current)[:, :, 0]
    code = (shuffled * torch.tensor([8.0, 4, 2, 1], dtype=torch.float64)[:, None]).sum(0)
    observed = [int((code == value).sum()) for value in (12, 10, 9, 6, 5, 3)]
    assert sum(observed) == batch
    assert_distributed(observed, [batch / 6] * 6)


def test_shared_permutations_are_uniform_over_samples():
    batch = 12_000
    current = torch.zeros(3, batch, 2, dtype=torch.float64)
    current[0, :, 0] = 0.5
    current[1, :, 1] = 0.5  # one spike each, at steps 0 and 1
    where = trains(Shuffled(order="shared"), current).argmax(0)
    code = where[:, 0] * 3 + where[:, 1]
    observed = [int((code == a * 3 + b).sum()) for a, b in permutations(range(3), 2)]
    assert sum(observed) == batch
    assert_distributed(observed, [batch / 6] * 6)


def test_a_waiting_neuron_cannot_be_shuffled():
    with pytest.raises(ValueError, match=r"takes a one-phase neuron, got TPP.*TwoPhase\(code="):
        Shuffled(TPP())
    with pytest.raises(ValueError, match="takes a one-phase neuron, got shuffled IF"):
        Shuffled(Shuffled())


def test_a_neuron_that_takes_spikes_back_cannot_be_shuffled():
    with pytest.raises(ValueError, match=r"spikes stand, got tracer.*shuffle IntegrateFire"):
        Shuffled(SpikeTracer())


@pytest.mark.parametrize(("inside", "end"), [(IntegrateFire, ": call it"), ("if", ", got 'if'")])
def test_what_is_no_neuron_is_refused(inside: Any, end: str) -> None:
    with pytest.raises(ValueError, match=f"neuron of Shuffled must be a one-phase neuron.*{end}$"):
        Shuffled(inside)
