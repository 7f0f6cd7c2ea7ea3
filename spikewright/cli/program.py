"""A command line: several commands, their exit codes, and the words that it was started with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from spikewright.cli.command import as_command
from spikewright.cli.failures import EXIT_CODES
from spikewright.version import __version__


class _Program(TyperGroup):
    """The commands, which find the words of the command line in the root context's `obj`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)


def program(purpose: str, commands: Iterable[Callable[..., None]]) -> typer.Typer:
    """A command line of these commands, in this order."""
    app = typer.Typer(
        cls=_Program,
        help=purpose,
        epilog=EXIT_CODES,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_main)
    for command in commands:
        app.command(epilog=EXIT_CODES)(as_command(command))
    return app


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"spikewright {__version__}\n")
        raise typer.Exit


def _main(
    debug: Annotated[
        bool, typer.Option("--debug", help="The traceback of every error is printed.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="The version is printed."),
    ] = False,
) -> None:
    """Options of all commands; `debug` is read by `reporting`."""
