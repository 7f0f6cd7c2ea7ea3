"""read_run(): a run folder as a `Run`, every value checked, nothing else needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spikewright.decoding import decoded, parsed
from spikewright.errors import RunError
from spikewright.measure import (
    LayerEffect,
    LayerError,
    Reference,
    ResidualSummary,
    RunRecord,
    SpikeTimeHistogram,
    Sweep,
    SweepRow,
)
from spikewright.report.contents import Report, Study
from spikewright.report.folder.energies import energies_in
from spikewright.report.folder.run import FORMAT, PageRecord, Run, StudyRecord
from spikewright.version import __version__

RESULTS = "results.json"
OPERATIONS = "operations.json"
TIMING = "timing.json"
_UNTIMED: dict[str, Any] = {"started": "", "seconds": 0.0}
"""Wall times of a record, which stand in timing.json, if anywhere."""
_IMAGE = "data:image/png;base64,"


def read_run(folder: Path, name: str | None = None) -> Run:
    """Read the folder of a run of `sweep`, `misalignment`, `demo` or `energy`.

    Args:
        folder: what --output named.
        name: of the run; the folder's own when None.

    Raises:
        RunError: when it is no such folder, or a file in it is damaged or of a newer format.
    """
    results, operations = folder / RESULTS, folder / OPERATIONS
    if not results.is_file() and not operations.is_file():
        raise RunError(_not_a_run(folder))
    contents = [file.read_bytes() for file in (results, operations) if file.is_file()]
    timing = folder / TIMING
    times = _document(timing) if results.is_file() and timing.is_file() else {}
    report = _guarded(results, partial(_report, times=times)) if results.is_file() else None
    energies, asked = _guarded(operations, energies_in) if operations.is_file() else ((), {})
    return Run(
        name=folder.resolve().name if name is None else name,
        report=report,
        energies=energies,
        energy_configuration=asked,
        fingerprint=hashlib.sha256(b"\0".join(contents)).hexdigest(),
    )


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
    return f"'{folder}' holds neither {RESULTS} nor {OPERATIONS}, so it is no run: {wanted}"


def _guarded(path: Path, read: Any) -> Any:
    """What `read` makes of the document in a file; errors name the file and the way out."""
    document = _document(path)
    try:
        return read(document)
    except RunError as error:
        raise RunError(
            f"'{path}' is damaged or was changed: {error}; run its command again with the same "
            "--output"
        ) from error


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = decoded(dict[str, Any], parsed(path.read_bytes(), "it"), "it")
    except OSError as error:
        raise RunError(f"'{path}' cannot be read ({error.strerror})") from error
    except RunError as error:
        raise RunError(
            f"'{path}' is damaged: {error}; run its command again with the same --output"
        ) from error
    written = document.get("format", 1)
    if type(written) is not int or written < 1:
        raise RunError(f"'{path}' is damaged: its format is {str(written)[:20]!r}, not a number")
    if written > FORMAT:
        raise RunError(
            f"'{path}' is of format {written}, and Spikewright {__version__} reads formats up to "
            f"{FORMAT}: a newer version wrote it; upgrade with pip install --upgrade spikewright"
        )
    return document


def _report(document: Mapping[str, Any], times: Mapping[str, Any]) -> Report:
    configuration = decoded(dict[str, Any], document.get("configuration"), "configuration")
    page = _page(document, configuration)
    parts = list(_parts(document))
    if not parts or len(parts) != len(page.studies):
        raise RunError(f"page.studies has {len(page.studies)} entries for {len(parts)} parts")
    clocks = {what: part.get("record") for what, part in _parts(times)}
    studies = tuple(
        _study(part, what, shown, _clock(clocks.get(what)))
        for (what, part), shown in zip(parts, page.studies, strict=True)
    )
    return Report(page.title, page.subject, studies, page.command, configuration)


def _page(document: Mapping[str, Any], configuration: Mapping[str, Any]) -> PageRecord:
    """The part `page`, or what older files let us tell without it."""
    if "page" in document:
        page = decoded(PageRecord, document["page"], "page")
        for study in page.studies:
            if study.raster is not None and not study.raster.image.startswith(_IMAGE):
                raise RunError("the image of a raster must be a PNG as a data: URI")
        return page
    command, model = str(configuration.get("command", "run")), configuration.get("model")
    parts = _parts_of(document) if "parts" in document else None
    names = [str(model or command)] if parts is None else list(parts)
    subject = str(document.get("subject", f"Measured by spikewright {command}."))
    studies = tuple(StudyRecord(name) for name in names)
    return PageRecord(f"A run of {command}", subject, f"spikewright {command} ...", studies)


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where the accuracies of each source network stand, with what goes with them."""
    if "parts" in document:
        for name, part in _parts_of(document).items():
            yield f"parts.{name}", part
    elif "whole" in document:
        whole = decoded(dict[str, Any], document["whole"], "whole")
        yield "whole", {**document, **whole}
    else:
        yield "document", document


def _parts_of(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return decoded(dict[str, dict[str, Any]], document["parts"], "parts")


def _clock(record: Any) -> dict[str, Any]:
    """When a record was made and how long that took, as far as timing.json tells."""
    return _UNTIMED if not isinstance(record, dict) else _UNTIMED | record


@dataclass(frozen=True)
class _Part:
    """What results.json holds of one source network."""

    rows: tuple[SweepRow, ...]
    record: RunRecord
    reference: Reference | None = None
    histograms: tuple[SpikeTimeHistogram, ...] = ()
    layers: tuple[LayerEffect, ...] = ()
    errors: tuple[LayerError, ...] = ()
    residuals: tuple[ResidualSummary, ...] = ()


def _study(
    document: Mapping[str, Any], what: str, shown: StudyRecord, clock: dict[str, Any]
) -> Study:
    part = decoded(_Part, _timed(document, what, clock), what)
    _check_rows(part.rows, part.reference, what)
    return Study(
        shown.title,
        Sweep(part.rows, part.reference, part.record),
        note=shown.note,
        raster=shown.raster,
        thresholds=shown.thresholds,
        histograms=part.histograms,
        layers=part.layers,
        errors=part.errors,
        error_samples=shown.error_samples,
        residuals=part.residuals,
    )


def _timed(document: Mapping[str, Any], what: str, clock: dict[str, Any]) -> dict[str, Any]:
    """The part with the wall times of its rows, its reference and its record filled in."""
    part = {name: value for name, value in document.items() if value is not None}
    rows = decoded(list[dict[str, Any]], part.get("rows"), f"{what}.rows")
    part["rows"] = [_UNTIMED | row for row in rows]
    for name, times in (("reference", _UNTIMED), ("record", clock)):
        if name in part:
            part[name] = times | decoded(dict[str, Any], part[name], f"{what}.{name}")
    return part


def _check_rows(rows: tuple[SweepRow, ...], reference: Reference | None, what: str) -> None:
    """That every network stands at every T once, with numbers that can be drawn."""
    if not rows:
        raise RunError(f"{what}: there are no rows")
    for n, row in enumerate(rows):
        _check_accuracy(row, f"{what}.rows[{n}]")
        if min(row.steps, row.latency, row.seeds) < 1:
            raise RunError(f"{what}.rows[{n}] has steps, latency or seeds below 1")
    places = {(row.network, row.steps) for row in rows}
    networks, steps = ({place[k] for place in places} for k in (0, 1))
    if not len(rows) == len(places) == len(networks) * len(steps):
        raise RunError(f"{what}: rows must hold every network at every T once")
    if reference is not None:
        _check_accuracy(reference, f"{what}.reference")
        if any(row.agreement is None for row in rows):
            raise RunError(f"{what}: a row lacks its comparison with the reference")


def _check_accuracy(found: SweepRow | Reference, what: str) -> None:
    if not 0 <= found.low <= found.high <= 1 or not 0 <= found.accuracy <= 1 or found.samples < 1:
        raise RunError(f"{what} has an accuracy outside 0 .. 1 or no samples")
