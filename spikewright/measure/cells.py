"""Parts of a long measurement, each measured once, kept, read again and shared out.

A measurement is a list of cells: one network at one T with one seed on some images, or any other
part that can be measured by itself. A finished cell is one file of a folder, written as a whole or
not at all, so what is there is finished and what is missing is to do: a killed measurement goes on
where it was. Cells do not depend on each other, so they are dealt among the processes of a
launcher and among the jobs of a cluster without a lock: all deal the same list in the same way,
whatever is on disk, and each measures what it is dealt. Draws belong to samples, so the records
are the same whoever measures them.

    FOLDER/configuration.json   everything that decides a number; a later start must agree
    FOLDER/NAME.json            the record of one finished cell
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from spikewright.decoding import decoded, parsed
from spikewright.errors import AnalysisError, RunError
from spikewright.files import write_json
from spikewright.processes import ALONE, Processes

R = TypeVar("R")

CONFIGURATION = "configuration.json"
_PLAIN = re.compile(r"[\w.=,+-]{1,80}")


@dataclass(frozen=True)
class Task:
    """A cell to measure.

    Attributes:
        name: the name of its record, unique within the measurement.
        work: measures it; returns dataclasses or plain JSON values.
        cost: how long it takes, in any unit that all tasks share.
        group: tasks of one group, such as those on the same images, stay together where there are
            many groups.
    """

    name: str
    work: Callable[[], Any]
    cost: float = 1.0
    group: Hashable = None


class Cells:
    """The cells of a measurement.

    Args:
        folder: where they are kept; None keeps them in memory alone.
        configuration: plain JSON values; everything that decides a number.
        processes: who shares the work and can talk.
        part: which of `parts` jobs this is, from 0; jobs share a folder and cannot talk.
        parts: how many jobs there are.
        about: the name of the configuration's file.

    Raises:
        AnalysisError: when the folder holds cells of another configuration, naming every
            difference, or of an unknown one, or a damaged configuration.
    """

    def __init__(
        self,
        folder: Path | None = None,
        configuration: Mapping[str, Any] | None = None,
        *,
        processes: Processes = ALONE,
        part: int = 0,
        parts: int = 1,
        about: str = CONFIGURATION,
    ) -> None:
        if not 0 <= part < parts:
            raise AnalysisError(f"the {parts} parts of a measurement count from 0, got {part}")
        self.folder = folder
        self.configuration: Mapping[str, Any] = json.loads(json.dumps(configuration or {}))
        self.processes = processes
        self.rank = part * processes.count + processes.rank
        self.count = parts * processes.count
        self._about = about
        self._inside = ""
        self._here: dict[str, Any] = {}
        self._check()

    def within(self, name: str) -> Cells:
        """The same cells, with names that stand behind another name."""
        inner = copy.copy(self)
        inner._inside = f"{self._inside}{name}, "
        return inner

    @property
    def begun(self) -> bool:
        """Whether the folder holds a finished cell."""
        return any(self.files())

    def files(self) -> Iterator[Path]:
        """The file of every finished cell, in the order of their names."""
        paths = [] if self.folder is None else sorted(self.folder.glob("*.json"))
        return (path for path in paths if path.name != self._about)

    def read(self, name: str, kind: type[R]) -> R | None:
        """The record of a cell; None when it is not finished.

        Raises:
            AnalysisError: when its file is damaged.
        """
        name = self._inside + name
        if name in self._here:
            return decoded(kind, self._here[name], name)
        path = self._path(name)
        return read_record(path, kind) if path is not None and path.is_file() else None

    def keep(self, name: str, record: Any) -> None:
        """Keep the record of a cell: dataclasses and plain JSON values.

        Raises:
            AnalysisError: when another process has begun another measurement in the folder.
            OSError: when its file cannot be written.
        """
        name = self._inside + name
        self._here[name] = json.loads(json.dumps(record, default=asdict, allow_nan=False))
        path = self._path(name)
        if path is not None and self.folder is not None:
            if not self._check():
                self.folder.mkdir(parents=True, exist_ok=True)
                write_json(self.folder / self._about, self.configuration)
            write_json(path, self._here[name])

    def own(self, tasks: Sequence[Task]) -> int:
        """How many of the tasks are dealt to this process."""
        return deal(tasks, self.count).count(self.rank)

    def measure(self, tasks: Sequence[Task]) -> Iterator[Task]:
        """Measure those of the tasks that are dealt to this process and not finished.

        Args:
            tasks: the same ones in every process and job, in the order of work.

        Yields:
            Every task of this process when it is finished, or was finished before.
        """
        for task, owner in zip(tasks, deal(tasks, self.count), strict=True):
            if owner == self.rank:
                if self.read(task.name, object) is None:
                    self.keep(task.name, task.work())
                yield task

    def gather(self, names: Sequence[str], kind: type[R]) -> list[R]:
        """The records of these cells, whoever measured them; every process asks for the same.

        Raises:
            AnalysisError: when some are not finished, as another job measures them.
        """
        for message in self.processes.exchange(json.dumps(self._here).encode()):
            self._here.update(json.loads(message))
        read = [self.read(name, kind) for name in names]
        records = [record for record in read if record is not None]
        if len(records) < len(read):
            raise Unfinished(
                f"{len(read) - len(records)} of {len(read)} cells in '{self.folder}' are not "
                "finished: when all parts of the work are, the same command without --share "
                "gathers them"
            )
        return records

    def all_within(self, kind: type[R]) -> list[R]:
        """The records of all cells whose names stand behind this one's, see `within`."""
        records = {
            n: decoded(kind, r, n) for n, r in self._here.items() if n.startswith(self._inside)
        }
        names = {f"{_file_name(name)}.json" for name in records}
        start = f"{_readable(self._inside)}"
        others = (p for p in self.files() if p.name.startswith(start) and p.name not in names)
        return [*records.values(), *(read_record(path, kind) for path in others)]

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{_file_name(name)}.json"

    def _check(self) -> bool:
        """Whether the folder is of this configuration; one without a cell may become so."""
        if self.folder is None:
            return False
        path = self.folder / self._about
        if not path.is_file():
            if self.begun:
                raise AnalysisError(
                    f"'{self.folder}' holds cells, and no '{self._about}' says of what: name "
                    "another folder, or remove this one"
                )
            return False
        listing = differences(read_record(path, dict[str, Any]), self.configuration)
        if listing and self.begun:
            raise AnalysisError(
                f"'{self.folder}' holds cells of another configuration:\n"
                + "\n".join(listing)
                + "\ngo on with the recorded one, name another folder, or remove this one"
            )
        return not listing


class Unfinished(AnalysisError):  # noqa: N818 (it reads as a sentence)
    """Cells of other jobs are not there yet."""


def discard(folder: Path) -> None:
    """Remove the cells of a folder: what they were measured for is written."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # it is not there, or another job is writing there
        folder.rmdir()


def deal(tasks: Sequence[Task], count: int) -> list[int]:
    """Who of `count` processes measures each task.

    The costliest goes first, to the process with the least work. Where there are four groups or
    more a process, groups are dealt whole, so that not every process reads all images.
    """
    groups: dict[Hashable, list[int]] = {}
    for number, task in enumerate(tasks):
        groups.setdefault(task.group, []).append(number)
    whole = len(groups) >= 4 * count
    units = list(groups.values()) if whole else [[number] for number in range(len(tasks))]
    costs = [sum(tasks[number].cost for number in unit) for unit in units]
    loads, owners = [0.0] * count, [0] * len(tasks)
    for place in sorted(range(len(units)), key=lambda place: -costs[place]):
        owner = loads.index(min(loads))
        loads[owner] += costs[place]
        for number in units[place]:
            owners[number] = owner
    return owners


def read_record(path: Path, kind: type[R]) -> R:
    """What a file of a folder of cells holds.

    Raises:
        AnalysisError: when it is damaged.
    """
    try:
        return decoded(kind, parsed(path.read_bytes(), f"'{path}'"), f"'{path}'")
    except (OSError, RunError) as error:
        raise AnalysisError(
            f"{error}: it is not the record of a cell; remove it, and the cell is measured again"
        ) from error


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """One line for everything in which two configurations differ."""
    return [
        f"  {key}: recorded {recorded.get(key)!r}, asked for {wanted.get(key)!r}"
        for key in sorted({*recorded, *wanted})
        if recorded.get(key) != wanted.get(key)
    ]


def _file_name(name: str) -> str:
    """The name itself where a file can have it, else what is left of it and a hash."""
    if _PLAIN.fullmatch(name):
        return name
    return f"{_readable(name)}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _readable(name: str) -> str:
    return re.sub(r"[^\w.=,+-]+", "-", name)[:60]
