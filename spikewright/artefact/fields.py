"""Reading JSON that nobody vouches for: every value is asked for by name and type."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from spikewright.errors import InterchangeError

T = TypeVar("T")
WHOLE = 2**31
"""The bound of whole numbers in a file: they lie between -WHOLE and WHOLE, or are torch's END."""
END = 2**63 - 1
"""What torch writes for "to the end" of a slice."""


def strict_json(text: str, what: str) -> Any:
    """Parse JSON without not-a-number and without names that occur twice.

    Raises:
        InterchangeError: if it is anything else.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InterchangeError(f"{what} is not valid JSON ({error})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} has no place in JSON")


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """The value as an object."""
    return typed(value, dict, what)


def items(value: Any, what: str) -> Sequence[Any]:
    """The value as a list."""
    return typed(value, list, what)


def typed(value: Any, kind: type[T], what: str) -> T:
    """The value, if it is of exactly this type (True is no whole number here).

    Raises:
        InterchangeError: if not.
    """
    if type(value) is not kind:
        raise InterchangeError(f"{what} must be of type {kind.__name__}, got {_short(value)}")
    return value


def number(value: Any, what: str) -> float:
    """The value as a number; a whole one may stand for it."""
    if type(value) is int and abs(value) <= END:
        return float(value)
    return typed(value, float, what)


def whole(value: Any, what: str, least: int, most: int = WHOLE) -> int:
    """The value as a whole number in a range.

    Raises:
        InterchangeError: if it is not one.
    """
    value = typed(value, int, what)
    if not least <= value <= most:
        raise InterchangeError(f"{what} must lie in {least} .. {most}, got {_short(value)}")
    return value


def named(document: Mapping[str, Any], names: Sequence[str], what: str) -> tuple[Any, ...]:
    """The values of an object that has exactly these names.

    Raises:
        InterchangeError: for missing and for unknown names.
    """
    if set(document) != set(names):
        raise InterchangeError(
            f"{what} must have exactly {', '.join(names)}; got {_short(sorted(document))}"
        )
    return tuple(document[name] for name in names)


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
    return text if len(text) <= 80 else f"{text[:77]}..."
