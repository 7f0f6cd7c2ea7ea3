"""The TPP process, its exact count law, and the table that the count engine reads."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.errors import ConversionError
from spikewright.neurons import TPP, Draws, count_law
from spikewright.neurons.counter_random import DITHER_RANGE, DRAW_RANGE
from spikewright.neurons.random_order import tpp_step
from tests.builders import assert_distributed, layer

SAMPLES = 20_000


def tpp_trains(x: float, steps: int, samples: int, seed: int = 0) -> torch.Tensor:
    """`[T, samples]`, the paper's process on a fixed seed."""
    generator = torch.Generator().manual_seed(seed)
    charge = torch.full((samples,), x, dtype=torch.float64)
    train = []
    for t in range(steps):
        draw = torch.rand(samples, generator=generator, dtype=torch.float64)
        spikes, charge = tpp_step(charge, steps - t, draw)
        train.append(spikes)
    return torch.stack(train)


def naive_upper(k: int, f: float, remaining: int) -> float:
    """The recursion of DESIGN section 2, word for word."""
    if k == -1:
        return 1.0
    if k == remaining:
        return 0.0
    p = (k + f) / remaining
    return p * naive_upper(k - 1, f, remaining - 1) + (1 - p) * naive_upper(k, f, remaining - 1)


@settings(max_examples=50, derandomize=True)
@given(st.integers(1, 12), st.floats(-2, 14, allow_nan=False))
def test_a_count_is_the_floor_or_one_more(steps, x):
    counts = tpp_trains(x, steps, 50).sum(0)
    floor = torch.tensor(min(max(x, 0), steps), dtype=torch.float64).floor()
    assert bool(((counts == floor) | (counts == floor + 1)).all())
    if x <= 0:
        assert bool((counts == 0).all())
    if x >= steps:
        assert bool((counts == steps).all())
    if x == int(x):
        assert bool((counts == floor).all())


@pytest.mark.parametrize(("steps", "x"), [(1, 0.3), (4, 0.5), (4, 2.25), (7, 5.9), (16, 0.5)])
def test_the_process_counts_as_the_law_says(steps, x):
    counts = tpp_trains(x, steps, SAMPLES).sum(0)
    k, f = int(x), x - int(x)
    law = count_law.upper_probability(steps, torch.tensor([f], dtype=torch.float64))
    q = float(law[k])
    upper = int((counts == k + 1).sum())
    assert_distributed([SAMPLES - upper, upper], [SAMPLES * (1 - q), SAMPLES * q])


@pytest.mark.parametrize(("steps", "x"), [(4, 0.5), (7, 5.9)])
def test_the_neuron_counts_as_the_law_says_from_its_own_draws(steps, x):
    dynamics = TPP().start(layer(2.0, steps, batch=SAMPLES))
    current = torch.full((steps, SAMPLES, 1), 2.0 * x / steps, dtype=torch.float64)
    dynamics.absorb(current, torch.ones(steps, dtype=torch.float64))
    dynamics.rewind()
    counts = dynamics.emit(steps).sum(0)
    q = naive_upper(int(x), x - int(x), steps)
    upper = int((counts == int(x) + 1).sum())
    assert_distributed([SAMPLES - upper, upper], [SAMPLES * (1 - q), SAMPLES * q])


def test_an_integer_charge_is_placed_in_uniform_order():
    trains = tpp_trains(2.0, 4, SAMPLES).T.bool()
    placements = [tuple(row.nonzero().flatten().tolist()) for row in trains]
    cells = list(combinations(range(4), 2))
    observed = [placements.count(cell) for cell in cells]
    assert_distributed(observed, [SAMPLES / len(cells)] * len(cells))


@settings(max_examples=40, derandomize=True)
@given(st.integers(1, 9), st.floats(0, 1), st.data())
def test_the_table_form_is_the_recursion_word_for_word(steps, f, data):
    k = data.draw(st.integers(0, steps - 1))
    law = count_law.upper_probability(steps, torch.tensor([f], dtype=torch.float64))
    assert float(law[k]) == pytest.approx(naive_upper(k, f, steps), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 16, 31, 64, 100, 128, 200, 255, 256])
def test_lookup_is_within_its_stated_bound_of_the_recursion(steps, dtype):
    generator = torch.Generator().manual_seed(steps)
    fraction = torch.rand(301, generator=generator, dtype=torch.float64).to(dtype)
    fraction = torch.cat([fraction, torch.tensor([0.0, 1.0, 0.5, 1 / 512], dtype=dtype)])
    exact = count_law.upper_probability(steps, fraction.double())
    whole = torch.arange(steps, dtype=dtype)[:, None].expand(steps, len(fraction))
    table = count_law.table(steps, dtype=dtype, device=torch.device("cpu"))
    read = count_law.lookup(table, whole, fraction.expand_as(whole))
    error = (read.double() - exact).abs().max()
    assert float(error) <= count_law.interpolation_bound(steps) < 1e-4


@pytest.mark.parametrize("steps", [1, 2, 3, 17, 256])
def test_the_law_is_symmetric(steps):
    f = torch.linspace(0, 1, 33, dtype=torch.float64)
    q = count_law.upper_probability(steps, f)
    mirrored = 1 - count_law.upper_probability(steps, 1 - f).flip(0)
    torch.testing.assert_close(q, mirrored, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 17, 256])
def test_the_smallest_charges_follow_the_closed_form(steps):
    f = torch.linspace(0, 1, 33, dtype=torch.float64)
    closed = 1 - torch.stack([1 - f / r for r in range(1, steps + 1)]).prod(0)
    torch.testing.assert_close(count_law.upper_probability(steps, f)[0], closed, rtol=0, atol=1e-12)


def test_tpp_overfires_small_charges():
    """DESIGN section 2: at T = 16 a charge of 0.5 emits 0.86 spikes on average."""
    q = count_law.upper_probability(16, torch.tensor([0.5], dtype=torch.float64))
    assert float(q[0]) == pytest.approx(0.86, abs=0.005)


@pytest.mark.parametrize("steps", [0, 4097])
def test_a_table_out_of_range_is_refused(steps):
    with pytest.raises(ConversionError, match=f"tabulated for counts up to 4096, got {steps}"):
        count_law.table(steps, dtype=torch.float32, device=torch.device("cpu"))


def test_the_count_law_and_the_process_use_the_same_seeded_draws_twice():
    draws = Draws(3, "site", torch.arange(5))
    charge = torch.full((5, 7), 1.3, dtype=torch.float64)
    first, second = (TPP().count(charge, layer(1.0, 4, batch=5, seed=3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(
        draws.uniform(2, (5, 7)), Draws(3, "site", torch.arange(5)).uniform(2, (5, 7))
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [1, 2, 3, 16, 255, 256])
def test_draws_follow_the_law_within_its_bound(levels: int, dtype: torch.dtype) -> None:
    f = torch.rand(300, dtype=torch.float64, generator=torch.Generator().manual_seed(levels))
    f = (torch.cat([f, torch.tensor([0.0, 1.0])]) * 2**15).round() / 2**15  # k + f is exact
    whole = torch.arange(levels, dtype=torch.float64)[:, None]
    charge = (whole + f).to(dtype)
    law = count_law.draw_table(levels, torch.device("cpu"))
    expected = torch.zeros_like(charge, dtype=torch.float64)
    for value in range(DITHER_RANGE):
        point = count_law.grid_point(charge, torch.tensor(value, dtype=torch.int32))
        upper = law[point].double() / DRAW_RANGE
        expected += ((point // count_law.INTERVALS) + upper) / DITHER_RANGE
    error = (expected - whole - count_law.upper_probability(levels, f)).abs().max()
    assert error <= count_law.dither_bound(levels)


def test_draws_below_the_entry_of_the_table_send_one_spike_more() -> None:
    charge = torch.tensor([0.25, 1.5, 2.9, 0.0, 2.0, 3.0])
    dither = torch.full(charge.shape, 17, dtype=torch.int32)
    law = count_law.draw_table(3, torch.device("cpu"))
    entry = law[count_law.grid_point(charge, dither)]
    assert count_law.drawn(law, charge, entry, dither).tolist() == [0, 1, 2, 0, 2, 3]
    assert count_law.drawn(law, charge[:3], entry[:3] - 1, dither[:3]).tolist() == [1, 2, 3]
    assert entry[3:].tolist() == [0, 0, 0]  # no draw lies below


@pytest.mark.parametrize("compiled", [False, True])
def test_a_charge_that_is_no_number_stays_none(compiled: bool) -> None:
    drawn = torch.compile(count_law.drawn, dynamic=False) if compiled else count_law.drawn
    charge, zeros = torch.tensor([math.nan, 4, 0, 2]), torch.zeros(4, dtype=torch.int32)
    counts = drawn(count_law.draw_table(4, charge.device), charge, zeros + DRAW_RANGE - 1, zeros)
    assert counts.isnan().tolist() == [True, False, False, False]
    assert counts[1:].tolist() == [4, 0, 2]


def test_dither_is_uniform_and_independent_of_the_draw() -> None:
    draws = Draws(3, "site", torch.arange(200)).at(-1, (200, 1000))
    draw, dither = draws.draw_and_dither()
    assert torch.equal(draw / DRAW_RANGE, draws.uniform())
    cells = (draw // (DRAW_RANGE // 16)) * 16 + dither // (DITHER_RANGE // 16)
    observed = torch.bincount(cells.flatten(), minlength=256).double()
    expected = 200_000 / 256
    statistic = float(((observed - expected) ** 2 / expected).sum())
    assert statistic < 350  # chi-square, 255 degrees of freedom: exceeded once in 10,000
