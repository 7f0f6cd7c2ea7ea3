"""What is kept of one architecture: a JSON file that says how far it came."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from spikewright.files import write_whole

KEPT = Path(__file__).parents[2] / "docs" / "results" / "census.json"
"""The records that docs/census.md is of."""
STAGES = ("build", "survey", "convert", "counts", "steps", "audit", "done")
"""In order; a record is written before each, so one that stops says where."""
VERDICTS = ("converts", "refused", "failed", "not built", "stopped")


class Reason(msgspec.Struct, frozen=True):
    """Why an operation is refused, and how often."""

    operator: str
    reason: str
    remedy: str
    times: int = 1


class Record(msgspec.Struct, omit_defaults=True):
    """One architecture.

    Attributes:
        source, name: the entry.
        stage: of `STAGES`, the one that was begun last.
        verdict: one of `VERDICTS`. `failed` is an error that is none of the library's own, or one
            after the survey had said that the model converts: a fault either way. `stopped`: it
            ran out of time or memory, or died.
        message: the library's, or the error.
        reasons: of a refusal, all of them.
        units: how many layers of units of each operator the network has.
        values: units in all layers, for one sample.
        precision: in which the numbers below were measured.
        twin: largest difference between the counts and the fake-quantised twin, relative to the
            largest value of the answer; None where not measured.
        steps: the same between steps and counts.
        error: of the answer, relative to the model's, at `examine.FINE_STEPS` binary steps.
        finer: the same at `examine.FINER_STEPS`, where `error` is large.
        audit: what the audit objects to; empty when every edge carries whole spikes.
        seconds: processor time by stage.
        memory_mib: the process's peak.
        library: version and commit of this library, versions of the packages.
    """

    source: str
    name: str
    stage: str = STAGES[0]
    verdict: str = "stopped"
    message: str = ""
    reasons: list[Reason] = []
    units: dict[str, int] = {}
    values: int = 0
    precision: str = "float64"
    twin: float | None = None
    steps: float | None = None
    error: float | None = None
    finer: float | None = None
    audit: list[str] | None = None
    seconds: dict[str, float] = {}
    memory_mib: int = 0
    library: dict[str, str] = {}


def path_of(folder: Path, source: str, name: str) -> Path:
    """Where the record of an entry is."""
    return folder / f"{source}--{re.sub(r'[^A-Za-z0-9.]+', '-', name).strip('-')}.json"


def write(record: Record, folder: Path) -> None:
    """Put a record into its place, whole."""
    path = path_of(folder, record.source, record.name)
    write_whole(path, msgspec.json.format(msgspec.json.encode(record), indent=1))


def read(path: Path) -> Record:
    """A record out of its file."""
    return msgspec.json.decode(path.read_bytes(), type=Record)


def read_all(
    folder: Path, keys: Iterable[tuple[str, str]], kept: Path = KEPT
) -> tuple[list[Record], list[str]]:
    """The records of (source, name), in order, and the names of those that have none.

    Args:
        folder: of what was tried here.
        keys: the entries.
        kept: the file of earlier records, read where the folder has none of an entry.
    """
    earlier = {(r.source, r.name): r for r in read_kept(kept)} if kept.exists() else {}
    found: list[Record] = []
    missing: list[str] = []
    for source, name in keys:
        path = path_of(folder, source, name)
        if path.exists():
            found.append(read(path))
        elif (source, name) in earlier:
            found.append(earlier[source, name])
        else:
            missing.append(f"{source} {name}")
    return found, missing


def write_kept(records: Iterable[Record], path: Path = KEPT) -> None:
    """Put all records into one file, a line each."""
    write_whole(path, b"[\n" + b",\n".join(map(msgspec.json.encode, records)) + b"\n]\n")


def read_kept(path: Path = KEPT) -> list[Record]:
    """The records of `write_kept`."""
    return msgspec.json.decode(path.read_bytes(), type=list[Record])
