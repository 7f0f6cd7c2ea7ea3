"""A runner of commands, and the small model that they are tried on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn
from typer import Typer
from typer.testing import CliRunner

from spikewright.cli.app import app
from spikewright.fingerprint import fingerprint
from spikewright.graph import Survey, survey
from spikewright.graph.capture import COMPARED
from spikewright.graph.elementary import Units
from spikewright.graph.given import Given
from spikewright.graph.model_checks import state_of

DIGITS = "spikewright.models:digits_cnn"
SMALL = ["--data", "digits", "--limit", "20", "--calibration-samples", "12", "--steps", "1,2"]

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


CONVERT = sys.modules["spikewright.convert"]  # the function has the module's name
CAPTURED: dict[tuple[Any, ...], Survey] = {}


def survey_once(model: Any, example: Given, units: Units) -> Survey:
    """`survey`, which takes most of a small command's time, once for equal models and data."""
    if not isinstance(model, nn.Module) or example.alone is None:
        return survey(model, example, units)
    code = tuple(getattr(type(m).forward, "__code__", None) for m in model.modules())
    seen = {"": example.alone[:COMPARED]}  # no more of the data is looked at
    key = (repr(model), code, fingerprint(state_of(model)), fingerprint(seen), units)
    if key not in CAPTURED:
        CAPTURED[key] = survey(model, example, units)
    return CAPTURED[key]


@pytest.fixture(autouse=True)
def captured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands do not capture again what another test has captured."""
    monkeypatch.setattr(CONVERT, "survey", survey_once)
