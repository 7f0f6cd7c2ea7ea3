"""Finished cells of a measuring command, kept in its output folder until the results are there."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from spikewright.cli.console import print_note
from spikewright.cli.failures import Interrupted, WrongUsage
from spikewright.cli.record import ARGUMENTS, DATASET, TRAJECTORY
from spikewright.errors import AnalysisError
from spikewright.files import sweep_leftovers
from spikewright.measure.cells import Cells, Unfinished, discard
from spikewright.processes import ALONE, Processes

CELLS = "cells"
"""The folder of finished cells, in the folder of --output."""


@contextmanager
def keeping(
    folder: Path | None,
    configuration: Mapping[str, Any],
    processes: Processes = ALONE,
    share: str | None = None,
) -> Generator[Cells]:
    """Keep finished cells in the folder, and go on from what earlier starts left there.

    Args:
        folder: of --output; None keeps nothing.
        configuration: of the command, as plain JSON values.
        processes: who shares the work and can talk.
        share: of --share.

    Raises:
        WrongUsage: when the folder holds unfinished work of another configuration, or work is
            shared among jobs without a folder.
        Interrupted: for KeyboardInterrupt, saying how to go on.
        typer.Exit: when this job's share is done and another's is not.
    """
    part, parts = (0, 1) if share is None else share_of(share)
    if share is not None and folder is None:
        raise WrongUsage("--share needs --output: jobs find each other's cells in that folder")
    deciding = {
        key: value
        for key, value in configuration.items()
        if key not in (DATASET, ARGUMENTS, TRAJECTORY)
    }
    place = None if folder is None else folder / CELLS
    try:
        cells = Cells(place, deciding, processes=processes, part=part, parts=parts)
    except AnalysisError as error:
        raise WrongUsage(str(error)) from error
    if cells.begun and processes.main:
        print_note(f"going on with the unfinished work in {place}")
    try:
        yield cells
    except Unfinished as error:
        print_note(f"this share is done; {error}")
        raise typer.Exit from None
    except KeyboardInterrupt:
        if place is None:
            raise
        raise Interrupted(
            f"what was finished is kept in {place}: the same command goes on from there"
        ) from None
    finally:
        if place is not None and not cells.begun:
            discard(place)


def discard_cells(folder: Path) -> None:
    """Remove what was kept: the results are written."""
    sweep_leftovers(folder / CELLS, unchanged_for=0)  # nobody needs a cell any more
    discard(folder / CELLS)


def share_of(text: str) -> tuple[int, int]:
    """R and N of a share `R/N`, counted from 0.

    Raises:
        WrongUsage: for anything else.
    """
    numbers = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    part, parts = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if not part < parts:
        raise WrongUsage(f"--share {text}: give R/N, e.g. 0/2 and 1/2 for two jobs")
    return part, parts
