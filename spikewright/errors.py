"""Every error that Spikewright raises on purpose; each message says what, where and the way out."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path


class SpikewrightError(Exception):
    """The base of all errors raised by Spikewright: catch this one to catch them all."""


class ConversionError(SpikewrightError):
    """A network could not be converted to a spiking network."""


class UnsupportedOperation(ConversionError):  # noqa: N818 (a public name: it reads as a sentence)
    """A network holds operations that no rule covers; the message lists all of them at once."""


class CalibrationError(ConversionError):
    """The calibration data cannot set the thresholds: empty, not finite, or of uneven shape."""


class DataError(SpikewrightError):
    """A data set is missing, damaged, or does not fit what was asked of it."""


class ModelError(SpikewrightError):
    """A source model or its weights could not be loaded."""


class MissingExtra(SpikewrightError):  # noqa: N818 (a public name: it reads as a sentence)
    """An optional dependency is not installed; the message holds the command that installs it."""


class InterchangeError(SpikewrightError):
    """A network cannot be saved, or a file holds none: damaged, foreign, or of a newer version."""


class AnalysisError(SpikewrightError):
    """A measurement cannot be made of what was given: no data, no labels, no valid answer."""


class RecipeError(SpikewrightError):
    """A training recipe contradicts itself, or is not that of the run it is to go on with."""


class RunError(SpikewrightError):
    """The folder of a run holds something else than its files, damaged ones, or newer ones."""


class ProcessError(SpikewrightError):
    """Several processes cannot share work: one was started, or they do not hold the same."""


class ExperimentError(SpikewrightError):
    """An experiment cannot go on: other results are in its folder, or a network does not fit."""


class EquationError(SpikewrightError):
    """A system of differential equations has no single solution, or its parts do not fit."""


def wrong_kind(name: str, wanted: str, value: object) -> str:
    """What is said of an argument that is no object of the kind that is wanted.

    Args:
        name: of the argument.
        wanted: the kind, in words, with examples.
        value: what was given; of a class, or what else makes neurons, it is said to be called.
    """
    called = isinstance(value, type) or (name.startswith("neuron") and callable(value))
    return f"{name} must be {wanted}, got {value!r}" + (": call it" if called else "")


def raised_at(error: BaseException) -> str:
    """The last line of a user's own code on the way to an error, as " (at FILE:LINE)".

    It is "" where all of it lies in this library, in Python's or in installed packages.
    """
    paths = sysconfig.get_paths()
    others = [
        *(paths[name] for name in ("stdlib", "purelib", "platlib")),
        str(Path(__file__).parent),
    ]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_file() and not frame.filename.startswith(tuple(others)):
            return f" (at {frame.filename}:{frame.lineno})"
    return ""
