"""`spikewright rerun`: a finished command again, its numbers beside those recorded."""

from __future__ import annotations

from os.path import realpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from spikewright.cli.console import results
from spikewright.cli.failures import ExitCode, WrongUsage

if TYPE_CHECKING:
    from spikewright.cli.rerun import Comparison

SHOWN = 5
"""Differing numbers told one by one."""


def rerun(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="The --output folder of a finished sweep, evaluate, misalignment, energy, "
            "convert or demo.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the new results here; after a kill the same rerun goes on from there.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Carry out the command of RUN again, and say whether its numbers are the same.

    With the versions, the machine and the inputs of then they are, to the last bit; what of these
    has changed is listed. Start it in the folder that the command was started in, as paths may be
    relative to it. The exit code is 6 when a number differs.
    """
    from spikewright.cli.rerun import compare, read_run, repeat

    recorded = read_run(run)
    if output is not None and realpath(output) == realpath(run):
        raise WrongUsage(f"--output {output} is the run itself: name another folder")
    with TemporaryDirectory(prefix="spikewright-") as scratch:
        folder = Path(scratch) if output is None else output
        code = repeat(recorded.configuration, folder)
        if code:
            raise typer.Exit(code)
        found = compare(recorded, read_run(folder))
    results().print(as_text(found), markup=False, soft_wrap=True)
    if found.unequal:
        raise typer.Exit(ExitCode.DIFFERENT)


def as_text(found: Comparison) -> str:
    """What has changed, then the verdict."""
    lines = [f"changed: {name}: {then}, now {now}" for name, then, now in found.changed]
    if not found.unequal:
        return "\n".join([*lines, f"the same: all {found.values:,} values are equal"])
    told = [f"  {name}: {then}, now {now}" for name, then, now in found.unequal[:SHOWN]]
    more = len(found.unequal) - SHOWN
    told += [f"  and {more:,} more"] if more > 0 else []
    verdict = f"different: {len(found.unequal):,} of {found.values:,} values are not equal"
    return "\n".join([*lines, verdict, *told])
