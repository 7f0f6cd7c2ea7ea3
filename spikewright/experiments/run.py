"""The experiment: every cell of every network, cheap ones first, each kept as soon as it is done.

Cells are independent, so several processes share them without a lock: the process of rank r of n
takes the cells r, r + n, r + 2n ... of the plan. A cell that is on disk is not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikewright.errors import ExperimentError
from spikewright.experiments.network import NetworkSource
from spikewright.experiments.rows import Row, rows_for
from spikewright.experiments.store import ANN, ANN_IN_DOUBLE, Cell, CellRecord
from spikewright.experiments.subject import Settings, Subject, open_subject

Progress = Callable[[int, int, str], None]
"""Told (cells done, cells of this process, what was just done)."""


Task = tuple[Subject, "Row | None", Cell]


def plan(subjects: Sequence[Subject]) -> list[Task]:
    """Every cell of every network in the order of work.

    First the ANNs and the rows of one forward pass, then the rows that run step by step; of both
    the first seed before the others. Within that, network after network and row after row.
    """
    tasks: list[Task] = [
        (subject, row, cell) for subject in subjects for row, cell in subject.cells()
    ]

    def urgency(task: Task) -> tuple[bool, bool]:
        subject, row, cell = task
        return row is not None and row.expensive, cell.seed != subject.settings.seeds[0]

    return sorted(tasks, key=urgency)  # stable: what is alike stays in its order


def run_experiment(
    sources: Sequence[NetworkSource],
    data: Mapping[str, str],
    results: Path,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> None:
    """Measure what is missing in a folder of results.

    Args:
        sources: the networks.
        data: by data set name, as `open_dataset` takes it.
        results: the folder; killed at any moment, it goes on where it was.
        settings: how; the whole experiment when None.
        progress: called after every cell.

    Raises:
        ExperimentError: see `open_subject`; for unknown rows, or a folder that holds results of
            another configuration. Nothing has been measured then.
        ModelError, DataError, ConversionError: when a network or its data cannot be used.
    """
    settings = settings or Settings()
    _check(sources, settings)
    subjects = [open_subject(source, data, results, settings) for source in sources]
    unknown = set(settings.rows) - {row.name for subject in subjects for row in subject.rows}
    if unknown:
        known = [row.name for subject in subjects for row in rows_for(subject.levels)]
        raise ExperimentError(
            f"no network here has the rows {', '.join(sorted(unknown))}; "
            f"they are {', '.join(dict.fromkeys(known))}"
        )
    for subject in subjects:
        subject.store.prepare(subject.configuration)
    mine = plan(subjects)[settings.rank :: settings.processes]
    before: Subject | None = None
    for number, (subject, row, cell) in enumerate(mine, start=1):
        if subject.store.has(cell):
            continue
        if before is not None and before is not subject:
            before.release()
        before = subject
        record = subject.measure(row, cell)
        subject.store.require_same(subject.configuration)  # another process may have begun as well
        subject.store.write(record)
        if progress is not None:
            progress(number, len(mine), _told(subject, record))


def _check(sources: Sequence[NetworkSource], settings: Settings) -> None:
    names = [source.name for source in sources]
    if not names or len(set(names)) < len(names):
        raise ExperimentError(f"give one network or more, each with a name of its own, got {names}")
    if len(set(settings.seeds)) < len(settings.seeds):
        raise ExperimentError(f"seeds differ from each other, got {list(settings.seeds)}")


def _told(subject: Subject, record: CellRecord) -> str:
    cell = record.cell
    names = {ANN: "ANN", ANN_IN_DOUBLE: "ANN in float64"}
    what = names.get(cell.row, f"{cell.row}, T = {cell.steps}, seed {cell.seed}")
    run: Mapping[str, Any] = record.run
    return (
        f"{subject.source.name}: {what}: {100 * record.accuracy:.2f} % of {record.images} images, "
        f"{run['seconds']:.0f} s"
    )
