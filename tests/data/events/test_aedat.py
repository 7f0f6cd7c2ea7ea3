"""The file format, byte for byte, and every damage that a file may have."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.data.events import Events, read_aedat, write_aedat
from spikewright.data.events.aedat import read_header
from spikewright.errors import DataError

from .builders import HEADER, event_streams, events_from, rows_of

KNOWN = [(0, 127, 127, True), (1, 0, 0, False), (258, 125, 100, True), (258, 3, 126, False)]
"""(t, x, y, on): column x is 127 - raw y, row y is 127 - raw x, ON is polarity bit 0."""

KNOWN_BYTES = bytes.fromhex(
    "00000000 00000000"  # raw x 0, raw y 0, bit 0
    "00007fff 00000001"  # raw x 127, raw y 127, bit 1
    "00000236 00000102"  # raw x 27, raw y 2, bit 0
    "00007c03 00000102"  # raw x 1, raw y 124, bit 1
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cifar10_cat_0.aedat"


def test_a_file_is_written_byte_for_byte(file: Path) -> None:
    write_aedat(file, events_from(KNOWN), ("two", "lines"))
    assert file.read_bytes() == HEADER + b"# two\r\n# lines\r\n" + KNOWN_BYTES
    assert list(file.parent.iterdir()) == [file]


def test_a_file_is_read_byte_for_byte(file: Path) -> None:
    file.write_bytes(HEADER + KNOWN_BYTES)
    assert rows_of(read_aedat(file)) == KNOWN


def test_a_long_header_with_other_line_ends_is_skipped(file: Path) -> None:
    file.write_bytes(b"#!AER-DAT2.0\n" + b"# <entry caf\xe9/>\n" * 5000 + KNOWN_BYTES)
    assert rows_of(read_aedat(file)) == KNOWN
    assert read_header(file)[:2] == ("#!AER-DAT2.0", "# <entry caf\xe9/>")


@given(event_streams(least=1))
def test_what_is_written_is_read(events: Events) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.aedat"
        write_aedat(file, events)
        assert rows_of(read_aedat(file)) == rows_of(events)


def test_a_file_is_replaced_whole_or_not_at_all(file: Path) -> None:
    write_aedat(file, events_from(KNOWN))
    before = file.read_bytes()
    with pytest.raises(DataError, match=r"cat_0\.aedat': there is no event to write"):
        write_aedat(file, events_from([]))
    with pytest.raises(DataError, match="not one line of printable ASCII"):
        write_aedat(file, events_from(KNOWN[:1]), ("two\nlines",))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"byte 0: no header where '#!AER-DAT2.0' was expected"),
        (KNOWN_BYTES, r"byte 0: no header where"),
        (b"#!AER-DAT3.1\r\n" + KNOWN_BYTES, r"byte 0: '#!AER-DAT3.1' where '#!AER-DAT2.0'"),
        (b"# made\r\n" + KNOWN_BYTES, r"byte 0: '# made' where"),
        (b"#!AER-DAT2.0\r\n# cut o", r"byte 14: the header line does not end"),
        (b"#!AER-DAT2.0\r\n", r"byte 14: the recording holds no event"),
        (b"#!AER-DAT2.0\r\n" + KNOWN_BYTES[:-3], r"byte 38: the last record has 5 of its 8 bytes"),
        (
            b"#!AER-DAT2.0\r\n" + KNOWN_BYTES + bytes.fromhex("00008000 00000103"),
            r"byte 46: the address 0x00008000 of event 4 is above 0x00007fff",
        ),
        (
            b"#!AER-DAT2.0\r\n" + KNOWN_BYTES + bytes.fromhex("00000000 00000101"),
            r"byte 50: time runs backwards, from 258 to 257 microseconds at event 4.*sort=True",
        ),
    ],
)
def test_damage_is_named_with_its_byte(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"cifar10_cat_0\.aedat', {message}"):
        read_aedat(file)


def test_a_missing_file_is_refused(file: Path) -> None:
    for read in (read_aedat, read_header):
        with pytest.raises(DataError, match=r"cat_0\.aedat' cannot be read: No such file"):
            read(file)


def test_events_out_of_order_are_sorted_on_request(file: Path) -> None:
    late_first = KNOWN_BYTES[16:] + KNOWN_BYTES[:16]
    file.write_bytes(HEADER + late_first)
    assert rows_of(read_aedat(file, sort=True)) == KNOWN


RUNNING_OVER = [2**31 - 8, 2**31 - 1, -(2**31), -(2**31) + 5]
"""What the camera's clock tells of four events within 13 microseconds."""


def raw(times: list[int]) -> bytes:
    """A recording of one pixel at times as they stand in the file."""
    return HEADER + b"".join(bytes(4) + t.to_bytes(4, "big", signed=True) for t in times)


@pytest.mark.parametrize("sort", [False, True])
def test_a_clock_that_runs_over_goes_on(file: Path, sort: bool) -> None:
    file.write_bytes(raw([*RUNNING_OVER, 0, *RUNNING_OVER]))
    found = read_aedat(file, sort=sort).t
    first = [2**31 - 8, 2**31 - 1, 2**31, 2**31 + 5]
    assert found.tolist() == [*first, 2**32, *(t + 2**32 for t in first)]


def test_events_out_of_order_where_the_clock_runs_over_are_sorted(file: Path) -> None:
    a, b, c, d = RUNNING_OVER
    file.write_bytes(raw([a, c, b, d]))
    assert read_aedat(file, sort=True).t.tolist() == [2**31 - 8, 2**31 - 1, 2**31, 2**31 + 5]
    with pytest.raises(DataError, match="time runs backwards, from 2147483648 to 2147483647"):
        read_aedat(file)


def test_times_that_no_file_holds_are_not_written(file: Path) -> None:
    for t in (2**31, -(2**31) - 1):
        with pytest.raises(DataError, match=r"holds -2147483648 to 2147483647: let the recording"):
            write_aedat(file, events_from([(t, 0, 0, True)]))
    assert not file.exists()


def test_times_below_zero_are_read(file: Path) -> None:
    file.write_bytes(HEADER + bytes.fromhex("00000000 fffffffe 00000000 00000001"))
    assert read_aedat(file).t.tolist() == [-2, 1]


@given(st.data())
def test_events_in_no_order_are_no_events(data: st.DataObject) -> None:
    t = data.draw(st.lists(st.integers(0, 9), min_size=2).filter(lambda t: sorted(t) != t))
    zeros = np.zeros(len(t), np.uint8)
    with pytest.raises(DataError, match="give the events in order of time"):
        Events(np.array(t), zeros, zeros, zeros.astype(np.bool_))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.array([128], np.uint8)}, r"x\[0\] = 128; give 0 to 127"),
        ({"y": np.array([255], np.uint8)}, r"y\[0\] = 255; give 0 to 127"),
        ({"y": np.array([1], np.int64)}, r"y is int64 \[1\]; give uint8 \[1\]"),
        ({"on": np.array([True, False])}, r"on is bool \[2\]; give bool \[1\]"),
    ],
)
def test_events_that_no_file_holds_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    fields = {
        "t": np.array([0]),
        "x": np.zeros(1, np.uint8),
        "y": np.zeros(1, np.uint8),
        "on": np.array([True]),
    }
    with pytest.raises(DataError, match=message):
        Events(**{**fields, **change})
