"""Finished parts of a long measurement in one file, so that a killed one goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spikewright.errors import AnalysisError
from spikewright.files import write_json

FORMAT = 1
SECONDS_BETWEEN_WRITES = 2.0
"""The work that a kill can cost. Writing more often would slow down small measurements."""


class KeptFile:
    """What a measurement has finished, by name, as plain JSON values.

    Used as a context: leaving it, by an error or Ctrl-C as well, writes what is not yet written.

    Attributes:
        path: of the file. It is written as a whole, so it is good whenever the process dies.
    """

    def __init__(
        self,
        path: Path,
        configuration: Mapping[str, Any],
        *,
        seconds_between_writes: float = SECONDS_BETWEEN_WRITES,
    ) -> None:
        """Start, or go on with what is in the file.

        Args:
            path: its folder must be there.
            configuration: plain JSON values; everything that decides a number.
            seconds_between_writes: no more often is the file written while work goes on.

        Raises:
            AnalysisError: when the file is damaged, or of another configuration; naming every
                difference.
        """
        self.path = path
        self._configuration = json.loads(json.dumps(configuration))
        self._between = seconds_between_writes
        self._written_at = time.monotonic()
        self._changed = False
        self._parts = _parts_of(path, self._configuration) if path.exists() else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._changed:
            self._write()

    @property
    def empty(self) -> bool:
        """Whether nothing is finished."""
        return not self._parts

    def within(self, part: str) -> Kept:
        """Where one part of the measurement keeps what it has finished."""
        return Kept(self, part)

    def read(self, part: str) -> Any | None:
        """What was kept under a name, or None."""
        return self._parts.get(part)

    def keep(self, part: str, document: Any) -> None:
        """Keep plain JSON values under a name, in place of what is there.

        Raises:
            OSError: when the file cannot be written.
        """
        self._parts[part] = deepcopy(document)  # a list of it may grow before it is written
        self._changed = True
        if time.monotonic() - self._written_at >= self._between:
            self._write()

    def discard(self) -> None:
        """Remove the file: the whole is done and its results are written."""
        self.path.unlink(missing_ok=True)
        self._changed = False

    def _write(self) -> None:
        write_json(
            self.path,
            {"format": FORMAT, "configuration": self._configuration, "parts": self._parts},
        )
        self._written_at = time.monotonic()
        self._changed = False


@dataclass(frozen=True)
class Kept:
    """The place of one part of a measurement in a file.

    Attributes:
        file: of the whole measurement.
        part: its name.
    """

    file: KeptFile
    part: str

    def read(self, name: str) -> Any | None:
        """What was kept under a name, or None."""
        return self.file.read(f"{self.part}/{name}")

    def keep(self, name: str, document: Any) -> None:
        """See `KeptFile.keep`."""
        self.file.keep(f"{self.part}/{name}", document)

    def within(self, part: str) -> Kept:
        """A place within this one."""
        return Kept(self.file, f"{self.part}/{part}")


def within(kept: Kept | None, part: str) -> Kept | None:
    """A place within another, if there is one."""
    return None if kept is None else kept.within(part)


def once(kept: Kept | None, name: str, work: Callable[[], Any]) -> Any:
    """Plain values: those kept under a name, or those that the work gives, which are kept then."""
    found = None if kept is None else kept.read(name)
    if found is None:
        found = work()
        if kept is not None:
            kept.keep(name, found)
    return found


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """One line for everything in which two configurations differ."""
    return [
        f"  {key}: recorded {recorded.get(key)!r}, asked for {wanted.get(key)!r}"
        for key in sorted({*recorded, *wanted})
        if recorded.get(key) != wanted.get(key)
    ]


def _parts_of(path: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        recorded, parts = found["configuration"], found["parts"]
        of_this_format = found["format"] == FORMAT and isinstance(parts, dict)
        listing = differences(recorded, wanted)
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise AnalysisError(
            f"'{path}' cannot be read ({error}); it was changed or damaged: remove it to start anew"
        ) from error
    if not of_this_format:
        raise AnalysisError(
            f"'{path}' is of another version of this library: remove it to start anew"
        )
    if listing:
        told = "\n".join(listing)
        raise AnalysisError(
            f"'{path}' keeps the unfinished work of another command:\n{told}\n"
            "finish that one first, name another folder, or remove the file to give it up"
        )
    return parts
