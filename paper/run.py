"""The experiment: every cell of every network, cheap ones first, each kept as soon as it is done.

Cells are independent, so several processes share them without a lock: each deals the whole plan to
all in the same way, whatever is on disk, and works on its own part. A cell that is on disk is not
run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paper.network import NetworkSource
from paper.rows import Row, rows_for
from paper.store import ANN, ANN_IN_DOUBLE, Cell, CellRecord
from paper.subject import Settings, Subject, open_subject
from spikewright.errors import ExperimentError

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
    return sorted(tasks, key=_urgency)  # stable: what is alike stays in its order


def deal(tasks: Sequence[Task], processes: int) -> list[list[Task]]:
    """The tasks of every process, each in the order of the plan.

    Of the tasks that are equally urgent the dearest goes first, to the process with the least work.

    Args:
        tasks: the plan.
        processes: how many share it.
    """
    dearest = sorted(range(len(tasks)), key=lambda n: (_urgency(tasks[n]), -_cost(tasks[n])))
    loads = [0] * processes
    dealt: list[list[int]] = [[] for _ in loads]
    for number in dearest:
        rank = loads.index(min(loads))
        loads[rank] += _cost(tasks[number])
        dealt[rank].append(number)
    return [[tasks[number] for number in sorted(numbers)] for numbers in dealt]


def _urgency(task: Task) -> tuple[bool, bool]:
    _, row, cell = task
    return row is not None and row.expensive, cell.seed > 0


def _cost(task: Task) -> int:
    """Images times forward passes: T passes of the step engine, or one."""
    subject, row, cell = task
    if row is None or not row.expensive:
        return subject.images
    return subject.one_phase_images * cell.steps


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
    _check(sources)
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
    mine = deal(plan(subjects), settings.processes)[settings.rank]
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


def _check(sources: Sequence[NetworkSource]) -> None:
    names = [source.name for source in sources]
    if not names or len(set(names)) < len(names):
        raise ExperimentError(f"give one network or more, each with a name of its own, got {names}")


def _told(subject: Subject, record: CellRecord) -> str:
    cell = record.cell
    names = {ANN: "ANN", ANN_IN_DOUBLE: "ANN in float64"}
    what = names.get(cell.row, f"{cell.row}, T = {cell.steps}, seed {cell.seed}")
    run: Mapping[str, Any] = record.run
    return (
        f"{subject.source.name}: {what}: {100 * record.accuracy:.2f} % of {record.images} images, "
        f"{run['seconds']:.0f} s"
    )
