"""Reads and writes recordings in the file format of CIFAR10-DVS: AEDAT 2.0 of a DVS128 camera.

A file is a header of lines that begin with `#`, the first of them `#!AER-DAT2.0`, and then 8 bytes
an event: a 32-bit address and a signed 32-bit time in microseconds, both big-endian (iniVation,
"AEDAT 2.0", docs.inivation.com). Of a DVS128's address

    bit 0        polarity: 0 for ON (brighter), 1 for OFF (darker)
    bits 1-7     raw x
    bits 8-14    raw y
    bits 15-31   0 in an event of a pixel (bit 15 marks an external signal)

The polarity is that of jAER, with which the data set was recorded: "the ON events have raw
polarity 0" (SensorsINI/jaer, `DVS128.java`, class `Extractor`). iniVation's page on AEDAT 1.0 has
it the other way round; the loaders in use for CIFAR10-DVS read it as jAER does.

The orientation is that of those loaders (fangwei123456/spikingjelly, `datasets/cifar10_dvs.py`,
after jackd/events-tfds): with row 0 at the top,

    column x = 127 - raw y,    row y = 127 - raw x.

jAER itself shows column 127 - raw x, and raw y counted from the bottom.

The clock runs over after 2^32 microseconds, from 2147483647 to -2147483648; times read go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikewright.data.events.stream import SENSOR_SIDE, Events
from spikewright.errors import DataError
from spikewright.files import write_whole

VERSION_LINE = "#!AER-DAT2.0"
RECORD_BYTES = 8
ADDRESS_BITS = 15
HEADER = (
    VERSION_LINE,
    "# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event",
    "# Timestamps tick is 1 us",
)
_RECORD = np.dtype([("address", ">u4"), ("t", ">i4")])
_LAST = SENSOR_SIDE - 1
_TURN = 1 << 32
"""Microseconds after which the clock shows the same again."""
_LONGEST_LINE = 1 << 16


def read_aedat(path: Path, *, sort: bool = False) -> Events:
    """Read a recording.

    Args:
        path: the `.aedat` file.
        sort: bring events whose times fall into order (those of equal time keep theirs), as
            old cameras at times wrote them; else they are an error.

    Returns:
        Its events, at least one.

    Raises:
        DataError: if the file cannot be read, or is not a whole AEDAT 2.0 recording of a DVS128;
            the message names the file and the byte.
    """
    try:
        with path.open("rb") as file:
            start = _skip_header(file, path)[1]
            body = file.read()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error
    records = _records(body, start, path)
    address, t = records["address"].astype(np.uint32), _unwrapped(records["t"].astype(np.int64))
    _check_addresses(address, start, path)
    if sort:
        order = np.argsort(t, kind="stable")
        address, t = address[order], t[order]
    _check_order(t, start, path)
    raw_x = (address >> 1 & _LAST).astype(np.uint8)
    raw_y = (address >> 8 & _LAST).astype(np.uint8)
    return Events(t, x=_LAST - raw_y, y=_LAST - raw_x, on=(address & 1) == 0)


def read_header(path: Path) -> tuple[str, ...]:
    """Return the header lines of a recording, without their ends.

    Raises:
        DataError: if the file cannot be read or does not begin as AEDAT 2.0.
    """
    try:
        with path.open("rb") as file:
            return _skip_header(file, path)[0]
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error


def write_aedat(path: Path, events: Events, comments: Sequence[str] = ()) -> None:
    """Write a recording, as a whole or not at all.

    Args:
        path: the `.aedat` file; an older one is replaced.
        events: the events, at least one.
        comments: lines of printable ASCII for the header.

    Raises:
        DataError: if there is no event (no reader would take the file), times do not fit into
            a signed 32-bit integer, or a comment is not one line of printable ASCII.
    """
    if not len(events):
        raise DataError(f"'{path}': there is no event to write; a recording holds at least one")
    limits = np.iinfo(np.int32)
    if events.t[0] < limits.min or events.t[-1] > limits.max:
        raise DataError(
            f"'{path}': times from {events.t[0]} to {events.t[-1]} microseconds; a signed 32-bit "
            f"integer holds {limits.min} to {limits.max}: let the recording begin at 0"
        )
    for comment in comments:
        if not (comment.isascii() and comment.isprintable()):
            raise DataError(f"'{path}': the comment {comment!r} is not one line of printable ASCII")
    records = np.empty(len(events), _RECORD)
    raw_x, raw_y = (_LAST - events.y).astype(np.uint32), (_LAST - events.x).astype(np.uint32)
    records["address"] = raw_y << 8 | raw_x << 1 | ~events.on
    records["t"] = events.t
    lines = [*HEADER, *(f"# {comment}" for comment in comments)]
    header = "".join(f"{line}\r\n" for line in lines).encode("ascii")
    write_whole(path, header + records.tobytes())


def _skip_header(file: BinaryIO, path: Path) -> tuple[tuple[str, ...], int]:
    """Read the header lines; returns them and the byte at which the records begin.

    No record can be taken for one: its first byte is the highest of an address, which is 0.
    """
    lines: list[str] = []
    start = 0
    while (line := file.readline(_LONGEST_LINE)).startswith(b"#"):
        if not line.endswith(b"\n"):
            raise DataError(f"'{path}', byte {start}: the header line does not end")
        lines.append(line.decode("latin-1").rstrip("\r\n"))
        start += len(line)
    if not lines or not lines[0].startswith(VERSION_LINE):
        start_of_file = f"'{lines[0][:40]}'" if lines else "no header"
        raise DataError(
            f"'{path}', byte 0: {start_of_file} where '{VERSION_LINE}' was expected; "
            "give an AEDAT 2.0 file, as CIFAR10-DVS has them"
        )
    file.seek(start)
    return tuple(lines), start


def _records(body: bytes, start: int, path: Path) -> NDArray[np.void]:
    whole, rest = divmod(len(body), RECORD_BYTES)
    if rest:
        raise DataError(
            f"'{path}', byte {start + whole * RECORD_BYTES}: the last record has {rest} of its "
            f"{RECORD_BYTES} bytes; the file is truncated, get it again"
        )
    if not whole:
        raise DataError(f"'{path}', byte {start}: the recording holds no event")
    return np.frombuffer(body, _RECORD)


def _unwrapped(t: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times `[N]` as a clock that never runs over would show them.

    A fall of more than half a turn adds a turn to all that follow. A rise as large takes it off
    again: that is an event from before, out of order.
    """
    step = np.diff(t, prepend=t[0])
    turns = np.cumsum((step < -_TURN // 2).astype(np.int64) - (step > _TURN // 2))
    turns -= np.minimum.accumulate(turns).clip(max=0)  # none is taken off that was not added
    return t + turns * _TURN


def _check_addresses(address: NDArray[np.uint32], start: int, path: Path) -> None:
    outside = np.flatnonzero(address >> ADDRESS_BITS)
    if outside.size:
        i = int(outside[0])
        raise DataError(
            f"'{path}', byte {start + i * RECORD_BYTES}: the address {int(address[i]):#010x} of "
            f"event {i} is above 0x00007fff, so it is not of a DVS128 pixel; the file is damaged, "
            "or of another camera"
        )


def _check_order(t: NDArray[np.int64], start: int, path: Path) -> None:
    back = np.flatnonzero(t[1:] < t[:-1])
    if back.size:
        i = int(back[0]) + 1
        byte = start + i * RECORD_BYTES + RECORD_BYTES // 2
        raise DataError(
            f"'{path}', byte {byte}: time runs backwards, from {t[i - 1]} to {t[i]} microseconds "
            f"at event {i}; get the file again, or give sort=True to read_aedat or "
            "open_event_data if its events are only out of order"
        )
