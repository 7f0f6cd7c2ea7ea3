"""Frames count every event once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikewright.data.events import Events, Framing, SplitBy, collate_frames, integrate
from spikewright.errors import DataError

from .builders import event_streams, events_from, random_events

framings = st.builds(
    Framing, st.integers(1, 20), st.sampled_from(list(SplitBy)), st.sampled_from([1, 8, 32, 128])
)


@given(event_streams(), framings)
def test_every_event_is_counted_once(events: Events, framing: Framing) -> None:
    frames = integrate(events, framing)
    assert frames.shape == (framing.frames, 2, framing.size, framing.size)
    assert frames.dtype == torch.float32
    assert frames.sum() == len(events)
    assert frames[:, 1].sum() == events.on.sum()
    if framing.split_by == SplitBy.NUMBER:
        numbers = frames.sum((1, 2, 3))
        assert numbers.max() - numbers.min() <= 1


@pytest.mark.parametrize("split_by", list(SplitBy))
@pytest.mark.parametrize("size", [128, 32])
def test_frames_are_those_of_a_plain_loop(split_by: SplitBy, size: int) -> None:
    events, t = random_events(3001, seed=1), 7
    expected = torch.zeros(t, 2, size, size)
    first, span = int(events.t[0]), int(events.t[-1] - events.t[0]) + 1
    for i in range(len(events)):
        if split_by == SplitBy.TIME:
            frame = (int(events.t[i]) - first) * t // span
        else:
            frame = next(k for k in range(t) if i < (k + 1) * len(events) // t)
        block = 128 // size
        expected[frame, int(events.on[i]), events.y[i] // block, events.x[i] // block] += 1
    assert torch.equal(integrate(events, Framing(t, split_by, size)), expected)


def test_by_time_is_not_by_number() -> None:
    events = events_from([(0, 0, 0, True), (1, 0, 0, True), (2, 0, 0, True), (99, 127, 0, False)])
    by_time = integrate(events, Framing(2, SplitBy.TIME))
    by_number = integrate(events, Framing(2, SplitBy.NUMBER))
    assert by_time.sum((1, 2, 3)).tolist() == [3, 1]
    assert by_number.sum((1, 2, 3)).tolist() == [2, 2]
    assert by_time[1, 0, 0, 127] == by_number[1, 0, 0, 127] == 1


@given(event_streams(), st.integers(1, 8))
def test_summing_blocks_is_integrating_smaller(events: Events, frames: int) -> None:
    whole = integrate(events, Framing(frames))
    blocks = torch.nn.functional.avg_pool2d(whole, 4) * 16
    assert torch.equal(integrate(events, Framing(frames, size=32)), blocks)


def test_collating_puts_time_first() -> None:
    samples = [(torch.full((5, 2, 4, 4), float(i)), i + 10) for i in range(3)]
    frames, labels = collate_frames(samples)
    assert frames.shape == (5, 3, 2, 4, 4)
    assert frames[:, 1].unique().tolist() == [1.0]
    assert labels.tolist() == [10, 11, 12]
    assert labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames=0; a recording has at least 1 frame"),
        ({"size": 48}, "size=48 does not divide the 128 pixels.*1, 2, 4, 8, 16, 32, 64, 128"),
        ({"size": 0}, "size=0 does not divide"),
        ({"split_by": "events"}, "split_by='events'; give 'number' or 'time'"),
    ],
)
def test_impossible_framings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Framing(**options)


def test_many_events_are_counted_exactly() -> None:
    same = np.zeros(300_000, np.uint8)
    events = Events(same.astype(np.int64), same, same, same.astype(np.bool_))
    assert integrate(events, Framing(2))[:, 0, 0, 0].tolist() == [150_000, 150_000]
