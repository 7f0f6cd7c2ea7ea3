"""Where text goes: results to stdout, errors and progress to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import Any, TextIO

from rich.console import Console

PLAIN_WIDTH = 120
"""The width in columns where the output is no terminal: files do not depend on a window."""

_STDOUT: ContextVar[TextIO | None] = ContextVar("stdout", default=None)
"""Where the one JSON document goes while everything else goes to stderr."""

TABLE_WIDTH = 1000
"""The same of tables: they are as wide as what they hold, and nothing is cut off."""

Progress = Callable[[int, int | None, str], None]
"""A callback that receives (done, total if known, what is under way)."""


def results(width: int = PLAIN_WIDTH) -> Console:
    """The console of results, on stdout: names and texts are printed as they are.

    Args:
        width: in columns, where the output is no terminal.
    """
    return Console(
        width=None if sys.stdout.isatty() else width, highlight=False, markup=False, emoji=False
    )


def errors() -> Console:
    """The console of errors and progress, on stderr."""
    width = None if sys.stderr.isatty() else PLAIN_WIDTH
    return Console(stderr=True, width=width, markup=False, emoji=False)


def print_text(text: str) -> None:
    """Print a result as it is, without markup and without breaking its lines."""
    results().print(text, soft_wrap=True)


def print_note(text: str) -> None:
    """Print a line on stderr, beside the results."""
    errors().print(text, soft_wrap=True, highlight=False)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; see `json_alone`."""
    (_STDOUT.get() or sys.stdout).write(to_json(document))


@contextmanager
def json_alone() -> Generator[None]:
    """Whatever else is printed, by a user's model or a download, goes to stderr."""
    token = _STDOUT.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _STDOUT.reset(token)


def to_json(document: Any) -> str:
    """JSON text that ends in a newline; not-a-number has no place in it."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@contextmanager
def progress_bar(title: str, *, shown: bool = True) -> Generator[Progress]:
    """A bar on stderr that vanishes when done; silent when stderr is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = errors()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Bar(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    with bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int | None, what: str) -> None:
            bar.update(task, completed=done, total=total, description=f"{title}: {what}")

        yield advance
