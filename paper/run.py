"""The experiment: every cell of every network, cheap ones first, each kept as soon as it is done.

Several processes share the cells: each deals the whole plan in the same way and works on its own
part. A cell that is on disk is not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paper.cell import ANN, ANN_IN_DOUBLE, Cell, CellRecord
from paper.network import NetworkSource
from paper.rows import Row, rows_for
from paper.subject import Settings, Subject, open_subject
from spikewright.errors import ExperimentError
from spikewright.measure.cells import Task, deal

Progress = Callable[[int, int, str], None]
"""A callback that receives (cells done, cells of this process, what was just done)."""


def plan(subjects: Sequence[Subject]) -> list[tuple[Subject, Row | None, Task]]:
    """Every cell of every network, as a task that measures it, in the order of work.

    First the ANNs and the rows of one forward pass, then the rows that run step by step; of both
    the first seed before the others. Within that, network after network and row after row.
    """
    cells = [(subject, row, cell) for subject in subjects for row, cell in subject.cells()]
    cells.sort(key=lambda each: (each[1] is not None and each[1].expensive, each[2].seed > 0))
    return [(subject, row, _task(subject, row, cell)) for subject, row, cell in cells]


def _task(subject: Subject, row: Row | None, cell: Cell) -> Task:
    """A task, its cost in images times forward passes: T passes of the step engine, or one."""
    stepwise = row is not None and row.expensive
    cost = subject.one_phase_images * cell.steps if stepwise else subject.images
    return Task(cell.name, lambda: subject.measure(row, cell), cost)


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
        ExperimentError: see `open_subject`; for unknown rows.
        AnalysisError: when the folder holds results of another configuration. Nothing has been
            measured then.
        ModelError, DataError, ConversionError: when a network or its data cannot be used.
    """
    settings = settings or Settings()
    _check(sources)
    subjects = [open_subject(source, data, results, settings) for source in sources]
    unknown = set(settings.rows) - {row.name for subject in subjects for row in subject.rows}
    if unknown:
        known = [row.name for subject in subjects for row in rows_for(subject.levels)]
        raise ExperimentError(
            f"no network here has the rows {', '.join(sorted(unknown))}; "
            f"they are {', '.join(dict.fromkeys(known))}"
        )
    work = plan(subjects)
    owners = deal([task for _, _, task in work], settings.processes)
    mine = [w for w, owner in zip(work, owners, strict=True) if owner == settings.rank]
    before: Subject | None = None
    for number, (subject, _, task) in enumerate(mine, start=1):
        if subject.store.read(task.name, CellRecord) is not None:
            continue
        if before is not None and before is not subject:
            before.release()
        before = subject
        record = task.work()
        subject.store.keep(task.name, record)
        if progress is not None:
            progress(number, len(mine), _described(subject, record))


def _check(sources: Sequence[NetworkSource]) -> None:
    names = [source.name for source in sources]
    if not names or len(set(names)) < len(names):
        raise ExperimentError(f"give one network or more, each with a name of its own, got {names}")


def _described(subject: Subject, record: CellRecord) -> str:
    cell = record.cell
    names = {ANN: "ANN", ANN_IN_DOUBLE: "ANN in float64"}
    what = names.get(cell.row, f"{cell.row}, T = {cell.steps}, seed {cell.seed}")
    run: Mapping[str, Any] = record.run
    return (
        f"{subject.source.name}: {what}: {100 * record.accuracy:.2f} % of {record.images} images, "
        f"{run['seconds']:.0f} s"
    )
