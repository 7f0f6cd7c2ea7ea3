"""From exceptions to exit codes, each with one clear message on stderr and no traceback."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import IntEnum
from functools import wraps
from typing import Any

import typer

from spikewright.cli.console import errors
from spikewright.errors import (
    AnalysisError,
    CalibrationError,
    ConversionError,
    DataError,
    SpikewrightError,
)


class ExitCode(IntEnum):
    """What the command line exits with; documented in `spikewright.cli`."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOT_CONVERTIBLE = 3
    DATA = 4
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 it worked; 1 internal error (a bug; --debug shows the traceback); "
    "2 wrong usage: a bad option, an extra not installed, a model or data set not found; "
    "3 the model does not convert; 4 trouble with the data or calibration; 130 interrupted."
)


class WrongUsage(SpikewrightError):  # noqa: N818 (it reads as a sentence)
    """The command line asks for something that cannot be."""


@contextmanager
def opening() -> Generator[None]:
    """While sources are opened, trouble with data means that it was asked for wrongly."""
    try:
        yield
    except DataError as error:
        raise WrongUsage(str(error)) from error


def exit_code_of(error: SpikewrightError) -> ExitCode:
    """The exit code that belongs to an error of the library."""
    if isinstance(error, (AnalysisError, CalibrationError, DataError)):
        return ExitCode.DATA
    if isinstance(error, ConversionError):
        return ExitCode.NOT_CONVERTIBLE
    return ExitCode.USAGE


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: errors become one message on stderr and the exit code they stand for."""

    @wraps(command)
    def run(context: typer.Context, /, **options: Any) -> None:
        try:
            command(**options)
        except SpikewrightError as error:
            _tell("error", str(error), context)
            raise typer.Exit(exit_code_of(error)) from None
        except KeyboardInterrupt:
            _tell("interrupted", "nothing more was written", context)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            _tell("internal error", _unforeseen(error), context)
            raise typer.Exit(ExitCode.INTERNAL) from None

    return run


def _tell(kind: str, message: str, context: typer.Context) -> None:
    if context.find_root().params.get("debug"):
        traceback.print_exc(file=sys.stderr)
    console = errors()
    console.print(f"{kind}: ", style="bold red", end="", highlight=False)
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def _unforeseen(error: Exception) -> str:
    told = f"{type(error).__name__}: {error}"
    if "out of memory" in told or "allocate memory" in told or isinstance(error, MemoryError):
        return f"{told}\nnot enough memory: lower --batch-size, --calibration-samples or --steps"
    return (
        f"{told}\nthis is a bug; run again as 'spikewright --debug ...' and report what it prints"
    )
