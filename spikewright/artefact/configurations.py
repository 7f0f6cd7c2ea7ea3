"""Neurons and threshold strategies as JSON: a name from a fixed list, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any

from spikewright.artefact.fields import mapping, named, number, typed, whole
from spikewright.calibration import Learned, Maximum, MinError, Percentile, Threshold
from spikewright.errors import InterchangeError
from spikewright.neurons import SRP, IntegrateFire, Neuron, Shuffled, TwoPhase

_NEURON, _RULE, _NUMBER, _WHOLE, _NAME = "neuron", "threshold", "number", "whole", "name"

KNOWN: dict[str, tuple[type[Any], Mapping[str, str]]] = {
    "IntegrateFire": (IntegrateFire, {"reset": _NAME, "v0": _NUMBER, "shift": _NUMBER}),
    "TwoPhase": (TwoPhase, {"rounding": _NAME, "emission": _NAME}),
    "Shuffled": (Shuffled, {"neuron": _NEURON, "order": _NAME}),
    "SRP": (SRP, {"tau": _WHOLE, "neuron": _NEURON, "margin": _NUMBER}),
    "Maximum": (Maximum, {"per": _NAME}),
    "Percentile": (Percentile, {"q": _NUMBER, "per": _NAME}),
    "MinError": (MinError, {"per": _NAME, "candidates": _WHOLE}),
    "Learned": (Learned, {"otherwise": _RULE}),
}
"""Every configuration that a file can name, with the type of each setting."""

_LARGEST = 10_000
"""Of whole settings: no more candidates, no longer rehearsal."""


def encoded(configuration: Neuron | Threshold | None) -> Any:
    """A neuron or strategy as plain values.

    Raises:
        InterchangeError: for a class of the user's own.
    """
    if configuration is None:
        return None
    name = type(configuration).__name__
    known = KNOWN.get(name)
    if known is None or known[0] is not type(configuration):
        raise InterchangeError(
            f"{configuration!r} cannot be saved: a file holds no code, so it can name only "
            f"spikewright's own {', '.join(KNOWN)}"
        )
    assert {f.name for f in fields(configuration)} == set(known[1])  # pyright: ignore[reportArgumentType]
    return {"kind": name, **{key: _plain(getattr(configuration, key)) for key in known[1]}}


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return str(value)
    return encoded(value) if isinstance(value, Neuron | Threshold) else value


def decoded_neuron(document: Any, what: str) -> Neuron:
    """The neuron that `encoded` wrote.

    Raises:
        InterchangeError: for anything else.
    """
    return _of(Neuron, _decoded(document, what), what)


def decoded_threshold(document: Any, what: str) -> Threshold:
    """The strategy that `encoded` wrote; errors as `decoded_neuron`."""
    return _of(Threshold, _decoded(document, what), what)


def _of(base: type[Any], found: Any, what: str) -> Any:
    if not isinstance(found, base):
        raise InterchangeError(f"{what} is no {base.__name__.lower()}, but {found!r}")
    return found


def _decoded(document: Any, what: str) -> Any:
    kind = mapping(document, what).get("kind")
    if not isinstance(kind, str) or kind not in KNOWN:
        raise InterchangeError(f"{what} is of an unknown kind; known are {', '.join(KNOWN)}")
    made, settings = KNOWN[kind]
    values = named(document, ("kind", *settings), f"{what} ({kind})")[1:]
    arguments = {
        key: _setting(value, settings[key], f"{what} ({kind}): {key}")
        for key, value in zip(settings, values, strict=True)
    }
    try:
        return made(**arguments)
    except (ValueError, TypeError) as error:
        raise InterchangeError(f"{what}: {error}") from error


def _setting(value: Any, kind: str, what: str) -> Any:
    if kind == _NUMBER:
        return number(value, what)
    if kind == _WHOLE:
        return whole(value, what, 1, _LARGEST)
    if kind == _NAME:
        return typed(value, str, what)
    if kind == _NEURON:
        return decoded_neuron(value, what)
    return None if value is None else decoded_threshold(value, what)
