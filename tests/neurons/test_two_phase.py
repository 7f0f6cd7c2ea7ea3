"""Roundings and codes: one count, however it is written."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.activations import qcfs
from spikewright.errors import ConversionError
from spikewright.neurons import TPP, Binary, Draws, Layer, Rate, Rounding, TwoPhase, codes
from spikewright.neurons.counter_random import StepDraws
from spikewright.neurons.random_order import tpp_step
from tests.builders import layer

CODES = [name for name, code in codes().items() if code.carries_all]


def emitted(neuron: TwoPhase, x: torch.Tensor, steps: int) -> torch.Tensor:
    """The train of charges `x` `[B, N]`, thresholds 1."""
    dynamics = neuron.start(layer(1.0, steps, batch=len(x)))
    dynamics.absorb(x[None], torch.ones(1, dtype=torch.float64))
    dynamics.rewind()
    return dynamics.emit(steps)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=8))
@settings(max_examples=40, derandomize=True)
def test_binary_spikes_are_the_ones_of_the_count(counts):
    spikes = Binary().spikes_of(torch.tensor(counts, dtype=torch.float32))
    assert spikes.tolist() == [bin(n).count("1") for n in counts]


def test_burst_and_late_stand_at_the_ends():
    x = torch.tensor([[0.0, 2.0, 4.0]], dtype=torch.float64)
    burst = emitted(TwoPhase("nearest", "burst"), x, 4)[:, 0]
    late = emitted(TwoPhase("nearest", "late"), x, 4)[:, 0]
    assert burst.T.tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert late.T.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]]


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("code", CODES)
def test_the_train_carries_what_the_count_law_gives(rounding, code):
    if (rounding, code) == (Rounding.BERNOULLI, "random"):
        pytest.skip("TPP itself is a process; it agrees in distribution (test_count_law)")
    steps, batch = 6, 40
    neuron = TwoPhase(rounding, code)
    x = torch.linspace(-1, 1.25 * neuron.levels(steps), 2 * batch, dtype=torch.float64).reshape(
        batch, 2
    )
    train = emitted(neuron, x, steps)
    carried = (train * neuron.step_weights(steps)[:, None, None]).sum(0)
    assert torch.equal(carried, neuron.count(x, layer(1.0, steps, batch=batch)))


@settings(max_examples=40, derandomize=True)
@given(st.floats(0, 8), st.integers(1, 8), st.integers(0, 1000))
def test_unbiased_rounding_has_the_charge_as_its_mean(x, levels, seed):
    samples = 4000
    charge = torch.full((samples, 1), min(x, levels), dtype=torch.float64)
    counts = Rounding.UNBIASED.round(charge, levels, Draws(seed, "s", torch.arange(samples)))
    # at most 1/4 of variance: 5 standard errors
    assert float(counts.mean()) == pytest.approx(min(x, levels), abs=5 * 0.5 / samples**0.5)
    assert set((counts - charge.floor()).unique().tolist()) <= {0.0, 1.0}


class _LargestStep(StepDraws):
    def uniform(self):
        return torch.full((1, *self.neurons.shape), 1 - 2.0**-24)


class _LargestDraw(Draws):
    """Draws that come out as large as they can."""

    def __init__(self):
        super().__init__(0, "relu", torch.zeros(1, dtype=torch.int64))

    def at(self, step, shape):
        drawn = super().at(step, shape)
        return _LargestStep(drawn.low, drawn.high, drawn.neurons)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unbiased_rounding_never_changes_an_integer_charge(dtype):
    charge = torch.arange(0, 4097, dtype=dtype)[None]
    counts = Rounding.UNBIASED.round(charge, 4096, _LargestDraw())
    assert torch.equal(counts, charge)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [1, 5, 100, 4096])
def test_a_full_count_fires_at_every_step_whatever_the_draws(levels, dtype):
    left = torch.full((1, 1), float(levels), dtype=dtype)
    largest = torch.full((1, 1), 1 - 2.0**-24, dtype=dtype)
    for step in range(levels):
        spikes, left = tpp_step(left, torch.tensor(float(levels - step)), largest)
        assert spikes.all()
    assert not left.any()


@settings(max_examples=60, derandomize=True)
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=6), st.integers(1, 16), st.floats(0.1, 9))
def test_nearest_is_the_qcfs_formula(values, levels, theta):
    x = torch.tensor([values], dtype=torch.float64)
    lam = torch.tensor(theta, dtype=torch.float64)
    count = TwoPhase().count(
        x * (levels / lam), Layer(lam, levels, Draws(0, "s", torch.zeros(1).long()))
    )
    torch.testing.assert_close(count * lam / levels, qcfs(x, lam, levels), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rounding", list(Rounding))
def test_expected_count_is_the_mean_and_variance_of_counts(rounding):
    samples, levels = 20_000, 5
    for x in (0.0, 0.3, 2.5, 4.9, 5.0, 6.0):
        charge = torch.full((samples, 1), x, dtype=torch.float64)
        counts = rounding.round(charge, levels, Draws(1, "s", torch.arange(samples)))
        mean, variance = rounding.expected_count(charge[:1], levels)
        assert float(counts.mean()) == pytest.approx(mean.item(), abs=0.02)
        assert float(counts.var()) == pytest.approx(variance.item(), abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("up", "random"), "not a valid Rounding"),
        (("nearest", "slow"), "'slow' is not a valid code"),
        (("nearest", ["binary"]), r"\['binary'\] is not a valid code: give one of .*binary"),
    ],
)
def test_unknown_names_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TwoPhase(*options)


def test_tpp_is_the_bernoulli_rounding_in_random_order():
    assert TPP() == TwoPhase("bernoulli", "random") == TwoPhase("bernoulli", Rate())
    assert TPP().label == "TPP"


def test_binary_counts_by_bits_and_the_other_codes_by_steps():
    assert {code: TwoPhase("nearest", code).levels(4) for code in CODES} == {
        "random": 4,
        "burst": 4,
        "late": 4,
        "binary": 15,
        "first-spike": 4,
    }
    assert {TwoPhase("nearest", code).duration(4) for code in CODES} == {4}
    train = emitted(TwoPhase("nearest", "binary"), torch.tensor([[11.0, 20.0]]).double(), 4)
    assert train[:, 0].T.tolist() == [[1, 0, 1, 1], [1, 1, 1, 1]]  # 8 + 2 + 1, and the largest


def test_a_count_beyond_what_float32_holds_is_refused():
    assert TwoPhase("nearest", "binary").levels(24) == 2**24 - 1
    with pytest.raises(ConversionError, match=r"at T = 25 would count beyond 16,777,216"):
        TwoPhase("nearest", "binary").levels(25)
