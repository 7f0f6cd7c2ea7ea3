from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spikewright.measure import mcnemar_exact, paired_interval, wilson_interval


@given(st.integers(1, 50_000), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_is_scipys(trials: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, trials))
    expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    found = wilson_interval(successes, trials, confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_stays_inside_and_takes_a_fractional_mean() -> None:
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0
    below, between, above = (wilson_interval(k, 50) for k in (40, 40.5, 41))
    assert below[0] < between[0] < above[0]
    assert below[1] < between[1] < above[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((1, 0), "trials are at least 1, got 1 of 0"),
        ((5, 4), "got 5 of 4"),
        ((-1, 4), "got -1 of 4"),
        ((1, 4, 95), r"confidence lies in \(0, 1\), got 95"),
    ],
)
def test_wilson_refuses(arguments: tuple[float, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        wilson_interval(*arguments)  # type: ignore[arg-type]


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_scipys_sign_test(b: int, c: int) -> None:
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)


@pytest.mark.parametrize(
    ("b", "c", "p"), [(0, 0, 1.0), (0, 1, 1.0), (0, 2, 0.5), (1, 6, 0.125), (3, 3, 1.0)]
)
def test_mcnemar_by_hand(b: int, c: int, p: float) -> None:
    assert mcnemar_exact(b, c) == p


def test_mcnemar_with_many_samples() -> None:
    expected = stats.binomtest(20_000, 40_500).pvalue
    assert mcnemar_exact(20_000, 20_500) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(0, 5_000) == 0.0  # 2**-4999 is no float64


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1 and 2"):
        mcnemar_exact(-1, 2)


def test_the_paired_interval_by_hand() -> None:
    # b, c, n = 12.5, 2.5, 102: 10 / 102 -+ 1.96 / 102 * sqrt(15 - 100 / 102)
    assert paired_interval(12, 2, 100) == pytest.approx((0.0260917, 0.1699867), abs=1e-7)
    assert paired_interval(0, 40, 40)[0] == -1.0


@given(st.integers(1, 2_000), st.data())
def test_the_paired_interval_turns_with_its_classifiers(samples: int, data: st.DataObject) -> None:
    b = data.draw(st.integers(0, samples))
    c = data.draw(st.integers(0, samples - b))
    low, high = paired_interval(b, c, samples)
    assert -1 <= low < high <= 1
    assert paired_interval(c, b, samples) == pytest.approx((-high, -low), abs=1e-12)
    assert (low <= 0 <= high) or (low > 0) == (b > c)


def test_the_paired_interval_holds_the_difference_as_often_as_it_says() -> None:
    """Of 2,000 draws; their share has a standard deviation of 0.5 points."""
    n, only_first, only_second = 500, 0.08, 0.03
    rng = np.random.default_rng(0)
    outcomes = rng.multinomial(n, [only_first, only_second, 1 - only_first - only_second], 2_000)
    ends = [paired_interval(int(b), int(c), n) for b, c, _ in outcomes]
    held = sum(low <= only_first - only_second <= high for low, high in ends) / len(ends)
    assert 0.93 < held < 0.97


@pytest.mark.parametrize("counts", [(0, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_the_paired_interval_refuses(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"counts of at most all samples, got -?\d and \d of \d"):
        paired_interval(*counts)
