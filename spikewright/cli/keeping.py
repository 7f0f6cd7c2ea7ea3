"""Finished work of a measuring command, kept in its output folder until the results are there."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikewright.cli.console import errors
from spikewright.cli.failures import Interrupted, WrongUsage
from spikewright.cli.record import DATASET
from spikewright.errors import AnalysisError
from spikewright.measure.kept import Kept, KeptFile
from spikewright.processes import ALONE, Processes

PROGRESS_FILE = "progress.json"


@contextmanager
def keeping(
    folder: Path | None, configuration: Mapping[str, Any], processes: Processes = ALONE
) -> Generator[Kept | None]:
    """Keep what is finished in the folder, and go on from what an earlier start left there.

    Args:
        folder: of --output; None keeps nothing.
        configuration: of the command, as plain JSON values.
        processes: who shares the work; each has a file of its own, good for as many processes.

    Raises:
        WrongUsage: when the folder holds unfinished work of another configuration.
        Interrupted: for KeyboardInterrupt, saying how to go on.
    """
    if folder is None:
        yield None
        return
    name = PROGRESS_FILE
    if processes.count > 1:
        name = f"progress-{processes.rank}-of-{processes.count}.json"
    deciding = {key: value for key, value in configuration.items() if key != DATASET}
    try:
        file = KeptFile(folder / name, deciding)
    except AnalysisError as error:
        raise WrongUsage(str(error)) from error
    if not file.empty:
        told = f"going on with the unfinished work in {folder}/{name}"
        errors().print(told, markup=False, highlight=False, soft_wrap=True)
    try:
        with file:
            yield file.within("done")
    except KeyboardInterrupt:
        raise Interrupted(
            f"what was finished is kept in {folder}/{name}: the same command goes on from there"
        ) from None


def discard_progress(folder: Path) -> None:
    """Remove what was kept: the results are written."""
    for path in (folder / PROGRESS_FILE, *folder.glob("progress-*-of-*.json")):
        path.unlink(missing_ok=True)
