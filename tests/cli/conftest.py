"""A runner of commands, and the small model that they are tried on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer import Typer
from typer.testing import CliRunner

from spikewright.cli.app import app

DIGITS = "spikewright.models:digits_cnn"
SMALL = ["--data", "digits", "--limit", "20", "--calibration-samples", "16", "--steps", "1,2"]

Run = Callable[..., tuple[int, str, str]]


def runner(program: Typer) -> Run:
    """A function that runs a command line and returns exit code, stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(program, list(words))
        ended = isinstance(result.exception, SystemExit | None)
        assert ended, f"{words} ended in {result.exception!r}"
        return result.exit_code, result.stdout, result.stderr

    return call


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command of `spikewright`."""
    return runner(app)
