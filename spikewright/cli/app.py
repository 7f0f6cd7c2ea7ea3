"""The command line as a whole: its commands, in the order of its help."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from spikewright.cli.commands.check import check
from spikewright.cli.commands.convert import convert
from spikewright.cli.commands.demo import demo
from spikewright.cli.commands.energy import energy
from spikewright.cli.commands.evaluate import evaluate
from spikewright.cli.commands.export import export
from spikewright.cli.commands.inspect import inspect
from spikewright.cli.commands.misalignment import misalignment
from spikewright.cli.commands.report import report
from spikewright.cli.commands.rerun import rerun
from spikewright.cli.commands.sweep import sweep
from spikewright.cli.commands.train import train
from spikewright.cli.commands.zoo import zoo
from spikewright.cli.expand import expanded
from spikewright.cli.failures import EXIT_CODES, reported
from spikewright.cli.together import alone

app = typer.Typer(
    help="Turn a trained PyTorch network into a spiking network, and measure what that costs.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from spikewright.version import __version__

        sys.stdout.write(f"spikewright {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of every error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Print the version."),
    ] = False,
) -> None:
    """Options of all commands; `debug` is read by `reported`."""


COMMANDS: tuple[Callable[..., None], ...] = (
    check,
    convert,
    sweep,
    energy,
    misalignment,
    report,
    rerun,
    train,
    demo,
    inspect,
    evaluate,
    export,
    zoo,
)

SHARED = (sweep, misalignment, train)
"""Commands that several processes carry out together."""

for _command in COMMANDS:
    _carried_out = _command if _command in SHARED else alone(_command)
    app.command(epilog=EXIT_CODES)(expanded(reported(_carried_out)))
