"""Events made by hand or drawn, and files of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from spikewright.data.events import Events, write_aedat

HEADER = (
    b"#!AER-DAT2.0\r\n"
    b"# Data format is int32 address, int32 timestamp (8 bytes total), "
    b"repeated for each event\r\n"
    b"# Timestamps tick is 1 us\r\n"
)


def events_from(rows: Sequence[tuple[int, int, int, bool]]) -> Events:
    """Events from (t, x, y, on)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    t, x, y, on = columns
    return Events(
        np.array(t, np.int64), np.array(x, np.uint8), np.array(y, np.uint8), np.array(on, np.bool_)
    )


def rows_of(events: Events) -> list[tuple[int, int, int, bool]]:
    columns = (events.t.tolist(), events.x.tolist(), events.y.tolist(), events.on.tolist())
    return list(zip(*columns, strict=True))


def random_events(count: int, seed: int) -> Events:
    draw = np.random.default_rng(seed)
    return Events(
        np.sort(draw.integers(0, 10_000, count)),
        *draw.integers(0, 128, (2, count), np.uint8),
        draw.integers(0, 2, count).astype(np.bool_),
    )


places = st.integers(0, 127)
times = st.integers(-(2**31), 2**31 - 1)


def event_streams(least: int = 0) -> st.SearchStrategy[Events]:
    rows = st.lists(st.tuples(times, places, places, st.booleans()), min_size=least, max_size=50)
    return rows.map(lambda found: events_from(sorted(found, key=lambda row: row[0])))


def write_recordings(
    folder: Path, classes: Sequence[str] = ("cat", "dog"), count: int = 10, comment: str = "made up"
) -> Path:
    """Recording i of a class has i + 1 events, all in column 5, row 9."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            events = events_from([(k, 5, 9, True) for k in range(i + 1)])
            write_aedat(folder / name / f"cifar10_{name}_{i}.aedat", events, (comment,))
    return folder
