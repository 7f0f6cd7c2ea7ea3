"""Counter-based random numbers: pure functions of what they are for, and as good as random."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikewright.neurons import Draws, sample_ids_of
from spikewright.neurons.counter_random import StepDraws, neuron_words, step_words
from spikewright.neurons.random_order import RandomOrder
from tests.builders import assert_distributed, layer

IDS = torch.randint(-(2**62), 2**62, (40,), generator=torch.Generator().manual_seed(7))


@settings(max_examples=30, derandomize=True)
@given(
    st.permutations(range(40)), st.integers(1, 39), st.integers(-5, 9), st.integers(-(2**63), 2**64)
)
def test_any_split_and_order_of_the_batch_gives_the_same_numbers(order, cut, step, seed):
    whole = Draws(seed, "layer1.relu", IDS).uniform(step, (40, 3, 5))
    order = torch.tensor(order)
    parts = [
        Draws(seed, "layer1.relu", IDS[chosen]).uniform(step, (len(chosen), 3, 5))
        for chosen in (order[:cut], order[cut:])
    ]
    assert torch.equal(torch.cat(parts), whole[order])


def test_numbers_are_known_for_ever():
    """Golden values: a change here changes every published figure of a stochastic neuron."""
    numbers = Draws(1, "relu", torch.tensor([5])).uniform(0, (1, 3)) * 2**24
    assert numbers.flatten().tolist() == [7253593, 16367036, 8498561]


@pytest.mark.parametrize("seed", [0, 1, 2**40 + 3])
def test_integers_of_numpy_and_torch_are_seeds(seed):
    plain = Draws(seed, "relu", IDS).uniform(0, (40, 5))
    for same in (np.int64(seed), torch.tensor(seed)):
        assert torch.equal(Draws(same, "relu", IDS).uniform(0, (40, 5)), plain)


@pytest.fixture(params=[torch.bfloat16, torch.float64], ids=str)
def other_default(request):
    """Another default dtype of torch than float32, which nothing drawn may follow."""
    torch.set_default_dtype(request.param)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("other_default")
def test_numbers_are_those_of_float32_whatever_the_default_dtype():
    numbers = Draws(1, "relu", torch.tensor([5])).uniform(0, (1, 3)) * 2**24
    assert numbers.dtype is torch.float32
    assert numbers.flatten().tolist() == [7253593, 16367036, 8498561]


@pytest.mark.usefixtures("other_default")
def test_steps_beyond_what_16_bits_tell_are_counted_one_by_one():
    """As many spikes as steps: one is sent at every step, whatever is drawn."""
    charge = torch.full((100, 9), 300, dtype=torch.float64)
    assert bool(RandomOrder(charge, layer(1.0, 300, 100)).emit(300).all())


@pytest.mark.parametrize("ids", [torch.arange(64), IDS], ids=["numbered", "hashed"])
@pytest.mark.parametrize("step", [-1, 0, 5])
def test_numbers_are_uniform(ids, step):
    numbers = Draws(0, "relu", ids).uniform(step, (len(ids), 4000))
    assert float(numbers.min()) >= 0
    assert float(numbers.max()) < 1
    observed = torch.bincount((numbers * 256).long().flatten(), minlength=256)
    assert_distributed(observed, torch.full((256,), numbers.numel() / 256))


def test_low_bits_are_uniform_too():
    numbers = Draws(0, "relu", IDS).uniform(0, (40, 4000))
    low = (numbers.double() * 2**24).long() & 255
    observed = torch.bincount(low.flatten(), minlength=256)
    assert_distributed(observed, torch.full((256,), numbers.numel() / 256))


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]).double())[0, 1])


def test_numbers_of_different_purposes_are_uncorrelated():
    ids = torch.arange(200)
    base = Draws(0, "relu", ids).uniform(0, (200, 500))
    others = {
        "step": Draws(0, "relu", ids).uniform(1, (200, 500)),
        "rounding draw": Draws(0, "relu", ids).uniform(-1, (200, 500)),
        "seed": Draws(1, "relu", ids).uniform(0, (200, 500)),
        "site": Draws(0, "relu:2", ids).uniform(0, (200, 500)),
        "sample": Draws(0, "relu", ids + 1000).uniform(0, (200, 500)),
        "next neuron": base.roll(1, dims=1),
        "next sample": base.roll(1, dims=0),
    }
    for purpose, other in others.items():
        assert abs(correlation(base, other)) < 5 / base.numel() ** 0.5, purpose


def test_pairs_of_neighbouring_neurons_fill_the_square_evenly():
    numbers = (Draws(0, "relu", torch.arange(100)).uniform(0, (100, 2000)) * 16).long()
    for other in (numbers.roll(1, dims=1), numbers.roll(1, dims=0)):
        cells = torch.bincount((numbers * 16 + other).flatten(), minlength=256)
        assert_distributed(cells, torch.full((256,), numbers.numel() / 256))


def test_neighbouring_keys_repeat_no_stream():
    rows = [
        Draws(seed, site, torch.arange(50)).uniform(step, (50, 8))
        for seed in (0, 1, 2)
        for site in ("relu", "relu:2", "layer1.relu")
        for step in (-2, -1, 0, 1, 2)
    ]
    streams = torch.cat(rows)
    assert len(streams.unique(dim=0)) == len(streams)
    # 18,000 numbers of 24 bits: chance repeats about 18000^2 / 2 / 2^24 = 9.7 of them
    assert streams.numel() - len(streams.flatten().unique()) < 30


def test_identities_follow_content():
    samples = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    ids = sample_ids_of(samples)
    assert torch.equal(sample_ids_of(samples.flip(0)), ids.flip(0))
    assert torch.equal(sample_ids_of(samples.double()), ids)
    assert len(ids.unique()) == 6
    for position in range(48):
        changed = samples[:1].clone().flatten()
        changed[position] = torch.nextafter(changed[position], torch.tensor(9.0))
        assert sample_ids_of(changed.reshape(1, 3, 4, 4))[0] != ids[0]
    swapped = samples[:1].flatten()[[1, 0, *range(2, 48)]].reshape(1, 3, 4, 4)
    assert sample_ids_of(swapped)[0] != ids[0]


def test_positive_and_negative_zero_are_one_sample():
    zero = torch.zeros(1, 4)
    assert torch.equal(sample_ids_of(zero), sample_ids_of(-zero))


def test_compiled_numbers_are_the_eager_ones_bit_for_bit():
    if not any(shutil.which(c) for c in (os.environ.get("CXX") or "g++", "clang++")):
        pytest.skip("torch.compile needs a C++ compiler on the CPU")
    draws = Draws(3, "relu", IDS)
    eager = draws.uniform(4, (40, 3, 5))

    def uniform(keys: Tensor, neurons: Tensor) -> Tensor:
        return StepDraws(*step_words(keys, 4), neurons).uniform()

    compiled = torch.compile(uniform, fullgraph=True)
    assert torch.equal(compiled(draws.keys, neuron_words((3, 5), IDS.device)), eager)
