"""Exceptions become exit codes, each with one clear message on stderr and no traceback."""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
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
    FILES = 5
    DIFFERENT = 6
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 it worked; 1 internal error (a bug; --debug shows the traceback); "
    "2 wrong usage: a bad option, an extra not installed, a model or data set not found; "
    "3 the model does not convert; 4 trouble with the data or calibration; 5 a file cannot be "
    "written or read (disk full, no permission); 6 a rerun gave other numbers; 130 interrupted."
)


class WrongUsage(SpikewrightError):  # noqa: N818 (it reads as a sentence)
    """The command line asks for something that cannot be."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a word on what is kept of the work."""


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
    refused = error.__cause__  # by the operating system, unless the path itself is wrong
    return ExitCode.FILES if getattr(refused, "errno", None) in _REMEDIES else ExitCode.USAGE


@contextmanager
def reporting(context: typer.Context) -> Generator[None]:
    """Errors become one message on stderr, and the exit code that they stand for."""
    try:
        with _plain_warnings():
            yield
    except SpikewrightError as error:
        _print("error", str(error), context)
        raise typer.Exit(exit_code_of(error)) from None
    except KeyboardInterrupt as error:
        _print("interrupted", str(error) or "nothing more was written", context)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except OSError as error:
        _print("error", _file_trouble(error), context)
        raise typer.Exit(ExitCode.FILES) from None
    except Exception as error:
        _print("internal error", _unforeseen(error, context.find_root().info_name), context)
        raise typer.Exit(ExitCode.INTERNAL) from None


def _print(kind: str, message: str, context: typer.Context) -> None:
    if context.find_root().params.get("debug"):
        traceback.print_exc(file=sys.stderr)
    console = errors()
    console.print(f"{kind}: ", style="bold red", end="", highlight=False)
    console.print(message, highlight=False, soft_wrap=True)


@contextmanager
def _plain_warnings() -> Generator[None]:
    """Show warnings as messages of one line, without the place in the code."""
    before = warnings.showwarning

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        console = errors()
        console.print("warning: ", style="yellow", end="", highlight=False)
        console.print(str(message), highlight=False, soft_wrap=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _file_trouble(error: OSError) -> str:
    """What an operating system refused, and what to do; files are written whole or not at all."""
    where = "" if error.filename is None else f" '{error.filename}'"
    message = f"{error.strerror or error}:{where}" if where else str(error)
    remedy = _REMEDIES.get(error.errno or 0, "see to it and run the command again")
    return f"{message}\n{remedy}; files that were there before are as they were"


_REMEDIES = {
    errno.ENOSPC: "the disk is full: make room, or name another folder",
    errno.EDQUOT: "your share of the disk is used up: make room, or name another folder",
    errno.EACCES: "see to the permissions, or name another folder",
    errno.EPERM: "see to the permissions, or name another folder",
    errno.EROFS: "that disk cannot be written to: name another folder",
    errno.ENAMETOOLONG: "give it a shorter name",
}


def _unforeseen(error: Exception, program: str | None) -> str:
    text = f"{type(error).__name__}: {error}"
    if "out of memory" in text or "allocate memory" in text or isinstance(error, MemoryError):
        return (
            f"{text}\nnot enough memory: conversion takes less with fewer --calibration-samples, "
            "a measurement with a smaller --batch-size"
        )
    return f"{text}\nthis is a bug; run again as '{program} --debug ...' and report what it prints"
