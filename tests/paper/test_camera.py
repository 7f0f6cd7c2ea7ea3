"""The physics of the ideal event camera."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from paper.event_camera.camera import PixelEvents, events_of
from spikewright.errors import DataError

courses = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 4)),
    elements=st.floats(-3, 3, allow_subnormal=False),
)


def rows_of(found: PixelEvents) -> list[tuple[int, int, bool]]:
    columns = (found.t.tolist(), found.pixel.tolist(), found.on.tolist())
    return list(zip(*columns, strict=True))


def seconds(count: int) -> np.ndarray:
    return np.arange(count) * 1e6


@given(st.floats(-5, 5), st.integers(1, 5))
def test_what_does_not_change_brings_no_event(value: float, samples: int) -> None:
    assert rows_of(events_of(np.full((samples, 3), value), seconds(samples), 0.1)) == []


@given(st.integers(-40, 40), st.floats(0.01, 2), st.floats(-5, 5))
def test_a_step_of_k_thresholds_brings_k_events(k: int, threshold: float, start: float) -> None:
    found = events_of(np.array([[start], [start + k * threshold]]), np.array([0.0, 1e6]), threshold)
    assert len(found.t) == abs(k)
    assert (found.on == (k > 0)).all()
    due = [1e6 * (i + 1) / abs(k) for i in range(abs(k))]
    np.testing.assert_allclose(found.t, due, atol=1 + 1e6 * 1e-12 / threshold)


@given(courses, st.floats(0.05, 1))
def test_a_pixel_is_never_a_threshold_from_its_level(course: np.ndarray, threshold: float) -> None:
    found = events_of(course, seconds(len(course)), threshold)
    assert (np.diff(found.t) >= 0).all()
    for pixel in range(course.shape[1]):
        signs = np.where(found.on[found.pixel == pixel], 1, -1)
        level = course[0, pixel] + threshold * signs.sum()
        assert abs(course[-1, pixel] - level) <= threshold * (1 + 1e-6)


@given(courses, st.floats(0.05, 1))
def test_the_negative_swaps_polarities_and_nothing_else(
    course: np.ndarray, threshold: float
) -> None:
    times = seconds(len(course))
    swapped = [(t, pixel, not on) for t, pixel, on in rows_of(events_of(-course, times, threshold))]
    assert swapped == rows_of(events_of(course, times, threshold))


@given(courses, st.floats(0.05, 1))
def test_a_closed_course_brings_as_many_on_as_off(course: np.ndarray, threshold: float) -> None:
    closed = np.concatenate([course, course[:1]])
    found = events_of(closed, seconds(len(closed)), threshold)
    for pixel in range(course.shape[1]):
        on = found.on[found.pixel == pixel]
        assert 2 * on.sum() == len(on)


@given(courses, st.floats(0.05, 1))
def test_it_agrees_with_a_plain_loop(course: np.ndarray, threshold: float) -> None:
    times = seconds(len(course))
    expected: list[tuple[int, int, bool]] = []
    for pixel in range(course.shape[1]):
        level = 0
        value = (course[:, pixel] - course[0, pixel]) / threshold
        for k in range(len(times) - 1):
            sign = 1 if value[k + 1] > level else -1
            while (value[k + 1] - level) * sign + 1e-9 >= 1:
                level += sign
                part = min(max((level - value[k]) / (value[k + 1] - value[k]), 0), 1)
                expected.append((int(times[k] + part * 1e6), pixel, sign > 0))
    assert sorted(rows_of(events_of(course, times, threshold))) == sorted(expected)


def test_a_change_back_needs_a_whole_threshold() -> None:
    course = np.array([[0.0], [1.0], [0.25], [0.0]])
    found = events_of(course, seconds(4), 1.0)
    assert rows_of(found) == [(1_000_000, 0, True), (3_000_000, 0, False)]


def test_each_pixel_has_its_own_threshold() -> None:
    course = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = events_of(course, seconds(2), np.array([0.5, 1.0]))
    assert rows_of(found) == [(500_000, 0, True), (1_000_000, 0, True), (1_000_000, 1, True)]


@pytest.mark.parametrize(
    ("course", "times", "threshold", "message"),
    [
        (np.zeros((2, 1)), np.zeros(3), 0.1, r"brightness \[2, 1\] with times \[3\]"),
        (np.zeros((0, 1)), np.zeros(0), 0.1, "K at least 1"),
        (np.array([[0.0], [-np.inf]]), seconds(2), 0.1, r"not finite everywhere; log\(0\)"),
        (np.zeros((2, 1)), np.zeros(2), 0.1, "times do not rise"),
        (np.zeros((2, 1)), seconds(2), 0.0, "threshold must be above 0"),
        (np.zeros((2, 1)), seconds(2), np.ones(3), "one for each of the 1 pixels"),
    ],
)
def test_what_no_camera_sees_is_refused(
    course: np.ndarray, times: np.ndarray, threshold: float | np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        events_of(course, times, threshold)
