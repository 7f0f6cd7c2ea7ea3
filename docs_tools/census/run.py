"""Many architectures, each in a process of its own with limits of time and memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from docs_tools.census.entries import PACKAGES, Entry, entries
from docs_tools.census.record import KEPT, Record, path_of, read, read_all, write

SECONDS = 900
"""Of processor time for one architecture; four times as much may pass on the clock."""
GIB = 12
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "YOLO_OFFLINE": "True",
    "YOLO_VERBOSE": "False",
}
"""Nothing is downloaded, and nothing is printed between the lines."""


@dataclass(frozen=True)
class How:
    """How many architectures are tried.

    Attributes:
        jobs: how many processes at a time.
        redo: whether to try those with a record again.
        survey_only: whether to capture and classify alone, without converting.
        seconds, gib: what one process may take: processor time, and data.
        kept: the file of earlier records; see `record.read_all`.
    """

    jobs: int = 1
    redo: bool = False
    survey_only: bool = False
    seconds: int = SECONDS
    gib: int = GIB
    kept: Path = KEPT


STANDARD = How()


def run(chosen: Sequence[Entry], folder: Path, how: How = STANDARD) -> Iterator[Record]:
    """Try those that have no record yet, and yield every record as it is finished.

    Args:
        chosen: the architectures.
        folder: of the records.
        how: limits and what to skip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(ENVIRONMENT)
    context = get_context("forkserver")  # it imports the packages once, and forks from there
    context.set_forkserver_preload(_modules(chosen))
    known, _ = read_all(folder, ((e.source, e.name) for e in chosen), how.kept)
    finished = {(r.source, r.name) for r in known if _finished_before(r, how)}
    waiting = [e for e in chosen if how.redo or (e.source, e.name) not in finished]
    working: dict[BaseProcess, tuple[Entry, float]] = {}
    while waiting or working:
        while waiting and len(working) < how.jobs:
            entry = waiting.pop(0)
            write(Record(entry.source, entry.name), folder)
            given = (entry.source, entry.name, folder, how)
            process = context.Process(target=_examined, args=given)
            process.start()
            working[process] = (entry, time.monotonic())
        for process, (entry, started) in list(working.items()):
            process.join(0.2)
            if process.is_alive() and time.monotonic() - started > 4 * how.seconds:
                process.kill()
                process.join()
            if not process.is_alive():
                del working[process]
                yield _finished(process, entry, folder)


def _finished_before(record: Record, how: How) -> bool:
    """Whether a record goes as far as asked, and is not that of an interrupted run."""
    if record.verdict == "converts":
        return how.survey_only or record.stage == "done"
    return record.verdict != "stopped" or bool(record.message)


def _modules(chosen: Sequence[Entry]) -> list[str]:
    packages = [p for source in {e.source for e in chosen} for p in PACKAGES[source]]
    return ["docs_tools.census.examine", *packages]


def _examined(source: str, name: str, folder: Path, how: How) -> None:
    """What a process does: one architecture, quietly."""
    import torch

    from docs_tools.census.examine import examine

    resource.setrlimit(resource.RLIMIT_CPU, (how.seconds, how.seconds + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (how.gib << 30, how.gib << 30))
    torch.set_num_threads(1)
    with (folder / "log.txt").open("a") as log:  # what packages print, and a process's last words
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    entry = next(e for e in entries(source) if e.name == name)
    examine(entry, lambda record: write(record, folder), how.survey_only)


def _finished(process: BaseProcess, entry: Entry, folder: Path) -> Record:
    record = read(path_of(folder, entry.source, entry.name))
    if record.verdict == "stopped":
        record.message = f"{_why(process.exitcode)} in stage '{record.stage}'"
        write(record, folder)
    with suppress(ValueError):
        process.close()
    return record


def _why(code: int | None) -> str:
    names = {-9: "stopped after too long on the clock", -24: "stopped after too much time"}
    return names.get(code or 0, f"the process ended with {code}")
