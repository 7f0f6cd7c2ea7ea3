"""Options as text are parsed to neurons, thresholds and numbers, or refused with the reason."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.calibration import (
    Auto,
    Correction,
    InputMeans,
    Learned,
    LocalBalance,
    Maximum,
    MinError,
    Percentile,
    Refit,
)
from spikewright.calibration.thresholds import Per, Threshold
from spikewright.cli.failures import WrongUsage
from spikewright.methods import AUTO, METHODS, Method
from spikewright.network import Precision
from spikewright.neurons import IntegrateFire, Neuron, codes, spellings

MAXIMUM_STEPS = 2**16
"""The largest T. Counts stay exact far beyond it, but no network needs as many."""
MAXIMUM_VALUES = 2**26
"""The largest number of values in a sample."""
OWN_ARGUMENTS = {
    "weights": "weights are given as --weights FILE, or torchvision's own as "
    "torchvision:NAME@DEFAULT",
    "spec": "MODEL says which model it is",
}
"""The arguments of `load_model` itself, which never reach a factory, and what to do instead."""


CORRECTIONS: Mapping[str, Correction | None] = {
    "auto": Auto(),
    "bias": InputMeans(),
    "refit": Refit(),
    "none": None,
}
"""What `--correction` can name."""


def method_of(text: str) -> Method:
    """A method by its name."""
    name = text.strip().lower()
    if name not in METHODS:
        raise WrongUsage(f"--method {text}: give one of {', '.join(METHODS)}")
    return METHODS[name]


def neuron_names() -> tuple[str, ...]:
    """What `--neuron` can name: every registered neuron, and the method's own."""
    return (*spellings(), "own")


NEURON_HELP = (
    f"The neurons: {', '.join(neuron_names())}. The waiting ones take a code behind a colon, as in "
    f"nearest:binary ({', '.join(codes())}), srp its tau and cos its rho, as in srp:4; own is "
    "the neuron of --method."
)

METHOD_HELP = (
    f"A method as a whole: {', '.join(METHODS)}. It settles thresholds and correction (so "
    "--threshold and --correction do not go with it), what 'if' starts from, and the neuron unless "
    "--neuron names others."
)


def neuron_of(text: str, method: Method = AUTO) -> Neuron:
    """A neuron by its name, e.g. `if`, `tpp` or `nearest:binary`, as the method makes it."""
    name, colon, option = text.strip().lower().partition(":")
    if name == "own":
        if colon:
            raise WrongUsage(f"--neuron {text}: nothing may follow this name, but ':{option}' does")
        return method.own
    make = spellings().get(name)
    if make is None:
        raise WrongUsage(f"--neuron {text}: give one of {', '.join(neuron_names())}")
    try:
        return make(option if colon else None, method.one_phase)
    except ValueError as error:
        raise WrongUsage(f"--neuron {text}: {error}") from error


def neurons_of(text: str, method: Method = AUTO) -> dict[str, Neuron]:
    """Several neurons, separated by commas, by their labels in tables."""
    neurons: dict[str, Neuron] = {}
    for part in items(text, "--neuron"):
        neuron = neuron_of(part, method)
        if neuron.label in neurons:
            raise WrongUsage(f"--neuron {text}: '{neuron.label}' is named twice")
        neurons[neuron.label] = neuron
    return neurons


def correction_of(text: str) -> Correction | None:
    """A correction by its name; None for "none"."""
    name = text.strip().lower()
    if name not in CORRECTIONS:
        raise WrongUsage(f"--correction {text}: give one of {', '.join(CORRECTIONS)}")
    return CORRECTIONS[name]


def threshold_of(text: str) -> Threshold:
    """A threshold strategy, e.g. `minerror`, `percentile:99.9:channel` or `learned`."""
    name, *rest = text.strip().lower().split(":")
    if name == "learned" and rest in ([], ["minerror"]):
        return Learned(MinError() if rest else None)
    if name == "percentile" and rest:
        q = number(rest[0], f"--threshold {text}")
        if not 0 < q <= 100:
            raise WrongUsage(f"--threshold {text}: a percentile lies above 0 and at most at 100")
        return Percentile(q, _per(rest[1:], text, Per.LAYER))
    if name == "maximum":
        return Maximum(_per(rest, text, Per.LAYER))
    if name == "minerror":
        return MinError(_per(rest, text, Per.CHANNEL))
    if name == "localbalance":
        return LocalBalance(per=_per(rest, text, Per.CHANNEL))
    raise WrongUsage(
        f"--threshold {text}: give minerror, localbalance, maximum, percentile:Q (such as "
        "percentile:99.9) or learned; all but learned take :layer or :channel at the end, learned "
        "takes :minerror where not every activation is QCFS"
    )


def precision_of(text: str) -> Precision:
    """A precision by its name; that of a model in float64 is its own."""
    if in_double(text):
        return Precision.FLOAT32
    try:
        return Precision(text.strip().lower())
    except ValueError:
        raise WrongUsage(f"--precision {text}: give float32, bf16, int8 or float64") from None


def in_double(text: str) -> bool:
    """Whether a precision asks for model and images in float64."""
    return text.strip().lower() == "float64"


def _per(rest: Sequence[str], text: str, default: Per) -> Per:
    if not rest:
        return default
    if len(rest) == 1 and rest[0] in list(Per):
        return Per(rest[0])
    raise WrongUsage(f"--threshold {text}: end it with :layer or :channel, or with neither")


def steps_of(text: str) -> tuple[int, ...]:
    """Numbers of time steps, separated by commas, each once."""
    parts = items(text, "--steps")
    return tuple(dict.fromkeys(whole(part, "--steps", 1, MAXIMUM_STEPS) for part in parts))


def shape_of(text: str, option: str = "--input-shape") -> tuple[int, ...]:
    """The shape of one sample, e.g. `3,224,224`."""
    shape = tuple(whole(part, option, 1) for part in items(text, option))
    if math.prod(shape) > MAXIMUM_VALUES:
        raise WrongUsage(
            f"{option} {text}: a sample of {math.prod(shape):,} values is larger than any "
            f"image; give at most {MAXIMUM_VALUES:,}"
        )
    return shape


def arguments_of(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Factory arguments from KEY=VALUE; a VALUE that is JSON is read as such, else as text."""
    arguments: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier() or key in arguments:
            why = "is named twice" if key in arguments else "must be KEY=VALUE, e.g. num_classes=10"
            raise WrongUsage(f"--model-argument {pair}: {why}")
        if key in OWN_ARGUMENTS:
            raise WrongUsage(f"--model-argument {pair}: {OWN_ARGUMENTS[key]}")
        try:
            arguments[key] = json.loads(value)
        except (ValueError, RecursionError):
            arguments[key] = value
    return arguments


def integrate_fire_of(text: str, method: Method = AUTO) -> Neuron:
    """The one-phase neuron that `misalignment` starts from."""
    neuron = neuron_of(text, method)
    if not isinstance(neuron, IntegrateFire):
        raise WrongUsage(
            f"--neuron {text}: misalignment starts from 'if' or 'if-hard'; it shuffles by itself"
        )
    return neuron


def items(text: str, option: str) -> list[str]:
    """The parts between commas, none of them empty."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise WrongUsage(f"{option} '{text}': separate values by single commas")
    return parts


def number(text: str, option: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError as error:
        raise WrongUsage(f"{option}: '{text}' is not a number") from error
    if not math.isfinite(value):
        raise WrongUsage(f"{option}: '{text}' is not a finite number")
    return value


def whole(text: str, option: str, least: float | None = None, most: float | None = None) -> int:
    """A whole number in a range."""
    try:
        value = int(text)
    except ValueError as error:
        raise WrongUsage(f"{option}: '{text}' is not a whole number") from error
    if least is not None and value < least:
        raise WrongUsage(f"{option}: {value} is too small, give at least {least}")
    if most is not None and value > most:
        raise WrongUsage(f"{option}: {value} is too large, give at most {most:,}")
    return value
