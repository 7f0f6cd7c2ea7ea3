"""Lists of words in text files of a data set."""

from __future__ import annotations

from pathlib import Path

from spikewright.errors import DataError


def words_of(path: Path) -> list[str]:
    """The words of a text file of a data set.

    Raises:
        DataError: if it cannot be read, or is no text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}' is no text ({error.reason} at byte {error.start}): it is damaged, unpack "
            "the data set again"
        ) from error
