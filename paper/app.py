"""The command line `python -m paper`: its commands, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from paper.commands import imagenet_dry_run, page, tables
from paper.event_camera.command import simulate_events
from spikewright.cli.expand import expanded
from spikewright.cli.failures import EXIT_CODES, reported
from spikewright.cli.together import alone

app = typer.Typer(
    help="Measure the tables of the paper, cell by cell, and render their page.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of every error.")
    ] = False,
) -> None:
    """Options of all commands; `debug` is read by `reported`."""


COMMANDS: tuple[Callable[..., None], ...] = (tables, page, imagenet_dry_run, simulate_events)

for _command in COMMANDS:
    _carried_out = _command if _command is tables else alone(_command)  # several share the tables
    app.command(epilog=EXIT_CODES)(expanded(reported(_carried_out)))
