from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spikewright.analysis import mcnemar_exact, wilson_interval


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
