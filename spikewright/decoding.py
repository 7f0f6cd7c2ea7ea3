"""From JSON values to frozen dataclasses, every value checked against its type, and back."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from spikewright.errors import RunError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


NOTHING: Mapping[str, Any] = types.MappingProxyType({})


def decoded(kind: type[T], value: Any, what: str, absent: Mapping[str, Any] = NOTHING) -> T:
    """The value as an instance of a dataclass.

    Fields may be of str, bool, int, float, a dataclass, `tuple[X, ...]`, `dict[str, X]`, `Any`, and
    any of these or None. Names that the dataclass does not know are passed over: later versions may
    tell more.

    Args:
        kind: a dataclass.
        value: what `json.loads` gave, or `dataclasses.asdict`; fields may hold a dataclass already.
        what: names the value in errors.
        absent: stands for the fields of these names where the value lacks them.

    Raises:
        RunError: for a field that is missing or of another type, a number that is not finite, and
            what the dataclass itself refuses.
    """
    told = {**absent, **mapping(value, what)}
    hints = get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in fields(kind):  # pyright: ignore[reportArgumentType]
        if field.name in told:
            found[field.name] = _typed(hints[field.name], told[field.name], f"{what}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise RunError(f"{what} lacks {field.name!r}")
    try:
        return kind(**found)
    except ValueError as error:
        raise RunError(f"{what}: {error}") from error


def decoded_list(
    kind: type[T], value: Any, what: str, absent: Mapping[str, Any] = NOTHING
) -> tuple[T, ...]:
    """The value as instances of a dataclass, none when it is None.

    Raises:
        RunError: as `decoded`, and when it is no list.
    """
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise RunError(f"{what} must be a list, got {_short(value)}")
    return tuple(decoded(kind, entry, f"{what}[{n}]", absent) for n, entry in enumerate(value))


def encoded(value: DataclassInstance) -> dict[str, Any]:
    """All fields of a dataclass as plain JSON values: what `json.loads` would give."""
    return _json(asdict(value))


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """The value as an object.

    Raises:
        RunError: if it is none.
    """
    if not isinstance(value, dict):
        raise RunError(f"{what} must be an object, got {_short(value)}")
    return value


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _json(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_json(entry) for entry in value]
    return str(value) if isinstance(value, StrEnum) else value


def _typed(hint: Any, value: Any, what: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (h for h in get_args(hint) if h is not type(None))
        return None if value is None else _typed(inner, value, what)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise RunError(f"{what} must be a list, got {_short(value)}")
        inner = get_args(hint)[0]
        return tuple(_typed(inner, entry, f"{what}[{n}]") for n, entry in enumerate(value))
    if origin in (dict, Mapping):
        inner = get_args(hint)[1]
        entries = mapping(value, what).items()
        return {name: _typed(inner, entry, f"{what}.{name}") for name, entry in entries}
    if hint is Any:
        return value
    if is_dataclass(hint):
        return value if isinstance(value, hint) else decoded(hint, value, what)  # pyright: ignore[reportArgumentType]
    return _plain(hint, value, what)


def _plain(kind: type[Any], value: Any, what: str) -> Any:
    """A str, bool, int or float; True is no number, a whole number may stand for a float."""
    if kind is float and type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise RunError(f"{what} must be finite, got {_short(value)}")
        return number
    if type(value) is not kind:
        raise RunError(f"{what} must be of type {kind.__name__}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) > 10**30:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
