"""results.json: everything that a command measured, in one shape for all of them.

    {
      "format": 2,
      "title", "subject", "command", "configuration",     of the run
      "studies": [ {"title", "sweep": {"rows", "reference", "record"}, "errors", ...} ],
      "operations": [ {"network", "steps", "rows", "model", "record", ...} ],
      "skipped_pictures": [ "name", ... ]
    }

It is a `Report` with all that is in it, field by field; `energy` fills `operations`, the other
commands `studies`. What repeats no run, wall times, stands in timing.json in the same places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from spikewright.decoding import decoded, encoded, parsed
from spikewright.errors import RunError
from spikewright.measure import Reference, SweepRow
from spikewright.measure.scores import RELATIVE_ERROR
from spikewright.report.contents import Report, Study
from spikewright.report.costs import Energies, energies_of
from spikewright.version import __version__

FORMAT = 2
"""The format rises when an older reader would misread a newer file; added fields leave it."""
RESULTS = "results.json"
TIMING = "timing.json"
_IMAGE = "data:image/png;base64,"


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        name: the folder's, made unique among those compared.
        report: what it holds.
        fingerprint: SHA-256 of its results, the same for copies of one run.
    """

    name: str
    report: Report
    fingerprint: str = ""

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What was asked for."""
        return self.report.configuration

    @cached_property
    def energies(self) -> tuple[Energies, ...]:
        """The energies of every network and T; empty where operations were not counted."""
        return tuple(energies_of(one) for one in self.report.operations)


def results_of(report: Report) -> dict[str, Any]:
    """The document of results.json as plain JSON values, wall times included."""
    document = encoded(report)
    for one, plain in zip(report.operations, document["operations"], strict=True):
        plain["energy"] = one.energy.to_dict()  # computed from the rows, for other readers
        plain["neurobench"] = one.neurobench()
    return {"format": FORMAT, **document}


def read_run(folder: Path, name: str | None = None) -> Run:
    """Read the folder of a run of `sweep`, `evaluate`, `misalignment`, `demo` or `energy`.

    Args:
        folder: what --output named.
        name: the run's name; the folder's own when None.

    Raises:
        RunError: when it is no such folder, or a file in it is damaged or of another format.
    """
    path, timing = folder / RESULTS, folder / TIMING
    if not path.is_file():
        raise RunError(_not_a_run(folder))
    try:
        content = path.read_bytes()
        document = decoded(dict[str, Any], parsed(content, "it"), "it")
        _check_format(document.get("format"), path)
        report = decoded(Report, document, "it")
        for problem in _problems(report):
            raise RunError(problem)
    except OSError as error:
        raise RunError(f"'{path}' cannot be read ({error.strerror})") from error
    except _OtherFormatError as error:
        raise RunError(str(error)) from error
    except RunError as error:
        raise RunError(
            f"'{path}' is damaged or was changed: {error}; run its command again with the same "
            "--output"
        ) from error
    if timing.is_file():
        report = _timed(report, timing)
    name = folder.resolve().name if name is None else name
    return Run(name, report, hashlib.sha256(content).hexdigest())


def _not_a_run(folder: Path) -> str:
    wanted = "give the folder that --output of sweep, misalignment, demo or energy named"
    if folder.is_file():
        return f"'{folder}' is a file, not a folder: {wanted}"
    if not folder.is_dir():
        return f"'{folder}' does not exist: {wanted}"
    if (folder / "card.json").is_file():
        return (
            f"'{folder}' is a run of spikewright train, which measures no spiking network: run "
            f"'spikewright sweep run:{folder} --data ... --output DIR' and report DIR"
        )
    return f"'{folder}' holds no {RESULTS}, so it is no run: {wanted}"


class _OtherFormatError(RunError):
    """A file of another version."""


def _check_format(written: Any, path: Path) -> None:
    if written == FORMAT:
        return
    if type(written) is int and written > FORMAT:
        raise _OtherFormatError(
            f"'{path}' is of format {written}, and Spikewright {__version__} reads format "
            f"{FORMAT}: a newer version wrote it; upgrade with pip install --upgrade spikewright"
        )
    raise _OtherFormatError(
        f"'{path}' is of format {str(written)[:20]}, and Spikewright {__version__} reads format "
        f"{FORMAT}: an older version wrote it, or it was changed; run its command again"
    )


def _timed(report: Report, timing: Path) -> Report:
    """The report with the wall times of its records, as far as timing.json holds them."""
    try:
        times = decoded(_Times, parsed(timing.read_bytes(), "the text"), "the document")
    except (OSError, RunError) as error:
        raise RunError(f"'{timing}' is damaged ({error}): remove it, or run again") from error
    studies = tuple(
        replace(study, sweep=replace(study.sweep, record=replace(study.sweep.record, **vars(t))))
        for study, t in zip(report.studies, (s.sweep.record for s in times.studies), strict=False)
    )
    return replace(report, studies=(*studies, *report.studies[len(studies) :]))


@dataclass(frozen=True)
class _RecordTimes:
    started: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class _SweepTimes:
    record: _RecordTimes = _RecordTimes()


@dataclass(frozen=True)
class _StudyTimes:
    sweep: _SweepTimes = _SweepTimes()


@dataclass(frozen=True)
class _Times:
    """What is read of timing.json."""

    studies: tuple[_StudyTimes, ...] = ()


def _problems(report: Report) -> Iterator[str]:
    """What makes values of the right types senseless."""
    for number, study in enumerate(report.studies):
        what = f"studies[{number}]"
        yield from _sweep_problems(study, what)
        if study.raster is not None and not study.raster.image.startswith(_IMAGE):
            yield f"{what}: the image of a raster must be a PNG as a data: URI"
    for number, one in enumerate(report.operations):
        right = one.accuracy is None or 0 <= one.accuracy <= 1
        if not right or min(one.steps, one.latency, one.record.samples) < 1:
            yield f"operations[{number}] has an accuracy, T, latency or samples out of range"
        counts = [v for row in one.rows for c in (row.snn, row.ann) for v in c.numbers]
        if not one.rows or min(*counts, *(min(row.neurons, row.spikes) for row in one.rows)) < 0:
            yield f"operations[{number}].rows is empty, or has a number below 0"
        for name in {name for row in one.rows for c in (row.snn, row.ann) for name in c.functions}:
            if not one.model.prices(name):
                yield f"operations[{number}]: the function '{name}' has no price in its model"


def _sweep_problems(study: Study, what: str) -> Iterator[str]:
    """Every network must stand at every T once, with numbers that can be drawn."""
    rows, reference = study.sweep.rows, study.sweep.reference
    if not rows:
        yield f"{what}: there are no rows"
    for n, row in enumerate(rows):
        yield from _accuracy_problems(row, f"{what}.sweep.rows[{n}]")
        if min(row.steps, row.latency, row.seeds) < 1:
            yield f"{what}.sweep.rows[{n}] has steps, latency or seeds below 1"
    places = {(row.network, row.steps) for row in rows}
    networks, steps = ({place[k] for place in places} for k in (0, 1))
    if not len(rows) == len(places) == len(networks) * len(steps):
        yield f"{what}: rows must hold every network at every T once"
    if reference is not None:
        yield from _accuracy_problems(reference, f"{what}.sweep.reference")
        if any(row.agreement is None and row.accuracy is not None for row in rows):
            yield f"{what}: a row lacks its comparison with the reference"
    several = study.sweep.references
    for n, own in enumerate(several):
        yield from _accuracy_problems(own, f"{what}.sweep.references[{n}]")
    if several and (reference is None or len(several) != len(steps)):
        yield f"{what}: references must be one for every T, beside the reference of the first"
    score = study.sweep.score if rows else RELATIVE_ERROR  # which answers of 0 do not have
    if score != RELATIVE_ERROR and any(score.of(row) is None for row in rows):
        yield f"{what}: a row lacks its {score.name}"


def _accuracy_problems(row: SweepRow | Reference, what: str) -> Iterator[str]:
    ends = (row.low, row.accuracy, row.high)
    known = [value for value in ends if value is not None]
    right = len(known) in (0, 3) and all(0 <= value <= 1 for value in known)
    if not right or known[:1] > known[2:] or row.samples < 1:
        yield f"{what} has an accuracy outside 0 .. 1 or no samples"
