"""Neurons, codes and threshold strategies as JSON: the name of a registered class, and its fields.

{"kind": "TwoPhase", "rounding": "nearest", "code": {"kind": "Binary"}}

A file names classes that are registered where it is read, and no others, so that it holds no code.
What a field may hold follows from its type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from spikewright.artefact.fields import items, mapping, named, number, typed, whole
from spikewright.calibration.thresholds import THRESHOLDS, Threshold
from spikewright.errors import InterchangeError
from spikewright.graph.ir import Site
from spikewright.neurons import CODES, NEURONS, Code, FewSpikesTable, Neuron
from spikewright.neurons.registry import Registry

_REGISTRIES: dict[type[Any], Registry[Any]] = {
    Neuron: NEURONS,
    Code: CODES,
    Threshold: THRESHOLDS,
}
"""The registry of each kind of configuration, by the common base of its classes."""

_LARGEST = 1 << 20
"""The largest whole number of a field: no more candidates, no longer rehearsal, than time steps."""

B = TypeVar("B")


def encoded(configuration: Neuron | Threshold | Code | None) -> Any:
    """A configuration as plain values.

    Raises:
        InterchangeError: for a class that is not registered.
    """
    if configuration is None:
        return None
    kind: type[Any] = type(configuration)
    registries = (r for base, r in _REGISTRIES.items() if isinstance(configuration, base))
    if not any(kind in registry for registry in registries):
        raise InterchangeError(
            f"{configuration!r} cannot be saved: a file holds no code, so it can name only classes "
            "that are registered where it is written and read; register a neuron by "
            "spikewright.neurons.register, a code by spikewright.neurons.register_code, a "
            "threshold strategy by spikewright.calibration.thresholds.THRESHOLDS.register"
        )
    values = {f.name: _plain(getattr(configuration, f.name)) for f in fields(kind)}
    return {"kind": kind.__name__, **values}


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, FewSpikesTable):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return encoded(value) if isinstance(value, Neuron | Threshold | Code) else value


def encoded_neurons(neurons: Mapping[str, Neuron]) -> dict[str, Any]:
    """Neurons by site name as plain values; errors as `encoded`."""
    return {site: encoded(neuron) for site, neuron in neurons.items()}


def decoded_neurons(document: Any, sites: Sequence[Site], what: str) -> dict[str, Neuron]:
    """The neurons that `encoded_neurons` wrote.

    Raises:
        InterchangeError: for anything else, and for other sites.
    """
    listed = mapping(document, what)
    if set(listed) != {site.name for site in sites}:
        raise InterchangeError(f"{what}: there must be one for every site, and no other")
    return {
        site: _decoded(Neuron, neuron, f"{what}: that of '{site}'")
        for site, neuron in listed.items()
    }


def decoded_threshold(document: Any, what: str) -> Threshold:
    """The strategy that `encoded` wrote.

    Raises:
        InterchangeError: for anything else.
    """
    return _decoded(Threshold, document, what)


def _decoded(base: type[B], document: Any, what: str) -> B:
    registry = _REGISTRIES[base]
    name = mapping(document, what).get("kind")
    kind = registry.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InterchangeError(
            f"{what} is no {registry.what} that is registered here; those are "
            f"{', '.join(registry.names())}"
        )
    types = get_type_hints(kind)
    settings = [f.name for f in fields(kind)]
    values = named(document, ("kind", *settings), f"{what} ({name})")[1:]
    arguments = {
        key: _setting(types[key], value, f"{what} ({name}): {key}")
        for key, value in zip(settings, values, strict=True)
    }
    try:
        return kind(**arguments)
    except (ValueError, TypeError) as error:
        raise InterchangeError(f"{what}: {error}") from error


def _table(document: Any, what: str) -> FewSpikesTable:
    names = [f.name for f in fields(FewSpikesTable)]
    *rows, unit = named(mapping(document, what), names, what)
    thresholds, resets, weights = (items(row, what) for row in rows)
    try:
        return FewSpikesTable(
            tuple(number(x, what) for x in thresholds),
            tuple(number(x, what) for x in resets),
            tuple(whole(d, what, -(2**24), 2**24) for d in weights),
            number(unit, what),
        )
    except ValueError as error:
        raise InterchangeError(f"{what}: {error}") from error


def _setting(annotation: Any, value: Any, what: str) -> Any:
    """The value of a field, of the first type of its annotation that a file can hold."""
    if get_origin(annotation) is tuple:
        (inner, _) = get_args(annotation)
        return tuple(_setting(inner, item, what) for item in items(value, what))
    if annotation is FewSpikesTable:
        return _table(value, what)
    options = get_args(annotation) or (annotation,)
    if value is None and type(None) in options:
        return None
    for option in options:
        base = next((base for base in _REGISTRIES if issubclass(option, base)), None)
        if base is not None:
            return _decoded(base, value, what)
    if float in options:
        return number(value, what)
    if int in options:
        return whole(value, what, 0, _LARGEST)
    return typed(value, bool if bool in options else str, what)
