"""A picture before the camera: what moves, what does not, and which way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from paper.event_camera import Simulation, simulate
from paper.event_camera.simulator import luma, path
from spikewright.data.events import Events, Framing, integrate
from spikewright.errors import DataError
from tests.data.events.builders import rows_of

QUICK = Simulation(loops=2, diagonal_us=1000, steps=4)


def picture(seed: int, side: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (channels, side, side), dtype=np.uint8)


def edge() -> np.ndarray:
    """Dark on the left, bright on the right."""
    grey = np.full((8, 8), 20, np.uint8)
    grey[:, 4:] = 200
    return grey


def polarities(events: Events, within: np.ndarray) -> list[tuple[bool, bool]]:
    """Whether there are (OFF, ON) events within an area in each of the four diagonals of a loop.

    The areas are those in which brightness only rises, whatever the move: outside of them the
    bicubic enlargement overshoots.
    """
    diagonal = np.minimum(events.t // 50_001, 3)
    inside = within[events.y, events.x]
    return [
        tuple(bool(((diagonal == k) & inside & (events.on == on)).any()) for on in (False, True))
        for k in range(4)
    ]


@given(st.integers(0, 255), st.integers(1, 9))
@limits(max_examples=10)
def test_an_even_picture_brings_no_event(grey: int, side: int) -> None:
    assert len(simulate(np.full((side, side), grey, np.uint8), QUICK, seed=0)) == 0


def test_the_path_is_a_closed_loop_of_four_diagonals() -> None:
    moves = path(Simulation(amplitude=2.0, steps=2))
    expected = [(0, 0), (1, -1), (2, -2), (3, -1), (4, 0), (3, 1), (2, 2), (1, 1)]
    assert [tuple(move) for move in moves] == expected


def test_an_edge_moves_out_and_back() -> None:
    """Bright lies to the right: moving right darkens, moving left brightens."""
    events = simulate(edge(), Simulation(loops=1), seed=0)
    rising = np.zeros((128, 128), np.bool_)
    rising[:, 61:72] = True
    assert polarities(events, rising) == [(True, False)] * 2 + [(False, True)] * 2
    assert set(events.x.tolist()) <= set(range(40, 96))  # near the edge and nowhere else
    assert set(events.y.tolist()) == set(range(128))


def test_rows_are_counted_from_the_top() -> None:
    """Dark above bright: the first diagonal goes up, so that the edge brightens."""
    events = simulate(edge().T, Simulation(loops=1), seed=0)
    rising = np.zeros((128, 128), np.bool_)
    rising[59:70] = True
    found = polarities(events, rising)
    assert found == [(False, True), (True, False), (True, False), (False, True)]
    assert set(events.y.tolist()) <= set(range(40, 96))
    assert set(events.x.tolist()) == set(range(128))


@given(st.integers(0, 2**32))
@limits(max_examples=5)
def test_a_closed_path_brings_as_many_on_as_off_to_every_pixel(seed: int) -> None:
    counts = integrate(simulate(picture(seed), QUICK, seed=0), Framing(1))
    assert (counts[0, 0] == counts[0, 1]).all()
    assert counts.sum() > 0


def test_the_same_seed_gives_the_same_events_and_another_does_not() -> None:
    spread = Simulation(loops=1, diagonal_us=1000, steps=4, mismatch=0.05)
    first, again, other = (simulate(picture(0), spread, seed) for seed in (1, 1, 2))
    assert rows_of(first) == rows_of(again)
    assert rows_of(first) != rows_of(other)
    even = Simulation(loops=1, diagonal_us=1000, steps=4)
    assert rows_of(simulate(picture(0), even, 1)) == rows_of(simulate(picture(0), even, 2))


def test_events_lie_within_the_recording_and_loops_repeat() -> None:
    assert QUICK.duration_us == 8000
    events = simulate(picture(3), QUICK, seed=0)
    assert events.t[0] >= 0
    assert events.t[-1] <= QUICK.duration_us
    longer = simulate(picture(3), Simulation(loops=4, diagonal_us=1000, steps=4), seed=0)
    later = longer.t[longer.t > 8000]
    assert len(longer) > len(events)
    assert later[-1] > 12_000


def test_a_lower_threshold_brings_more_events() -> None:
    few, many = (
        len(simulate(picture(0), Simulation(threshold, loops=1, steps=4), 0))
        for threshold in (0.4, 0.1)
    )
    assert 0 < few < many


def test_luma_weighs_colours() -> None:
    red, green, blue = (np.zeros((3, 1, 1), np.uint8) for _ in range(3))
    red[0], green[1], blue[2] = 100, 100, 100
    told = [luma(colour).item() for colour in (red, green, blue)]
    assert told == pytest.approx([29.9, 58.7, 11.4])
    grey = np.full((1, 1), 7, np.uint8)
    assert luma(grey).tolist() == luma(grey[None]).tolist() == [[7.0]]
    assert luma(np.repeat(grey[None], 3, axis=0)).item() == pytest.approx(7.0)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4)),
        np.zeros((2, 4, 4), np.uint8),
        np.zeros((3, 4), np.uint8)[None, None],
        np.zeros(4, np.uint8),
        np.zeros((3, 0, 0), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"give uint8 \[H, W\], \[1, H, W\] or \[3, H, W\]"):
        simulate(wrong, QUICK, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, r"threshold=0.0; give a number from 0.001 on"),
        ({"amplitude": float("nan")}, r"amplitude=nan; give a number above 0"),
        ({"black_level": -1.0}, r"black_level=-1.0; give a number above 0"),
        ({"mismatch": -0.1}, r"mismatch=-0.1; give a number from 0 to 1"),
        ({"loops": 0}, r"loops=0; give 1 to 100"),
        ({"loops": 101}, r"loops=101; give 1 to 100"),
        ({"steps": 0}, r"steps=0; give at least 1"),
        ({"diagonal_us": 9}, r"diagonal_us=9, steps=10; a step lasts at least 1 microsecond"),
        ({"diagonal_us": 10**9}, r"24000000000 microseconds in all; .* holds 2147483647"),
    ],
)
def test_impossible_simulations_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Simulation(**options)
