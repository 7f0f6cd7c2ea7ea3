"""JSON text to plain values, plain values to frozen dataclasses, and back: msgspec, our errors."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from spikewright.errors import RunError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


def parsed(text: str | bytes, what: str) -> Any:
    """The plain values of a JSON document.

    Args:
        text: UTF-8 where it is bytes.
        what: names the document in errors, as their subject.

    Raises:
        RunError: if it is not JSON; NaN, Infinity and numbers beyond float64 are not.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RunError(f"{what} is not valid JSON ({error})") from error


def decoded(kind: type[T], value: Any, what: str) -> T:
    """Plain values as an instance of a type, every one of them checked.

    A whole number may stand for a float, a list for a tuple, a string for a `StrEnum`; nothing
    else is converted, and True is no number. Names that a dataclass does not have are passed over:
    later versions may write more.

    Args:
        kind: a dataclass, or `tuple[X, ...]`, `dict[str, X]` and the like of one.
        value: what `parsed` returned, or parts of it; an instance of a dataclass stays as it is.
        what: names the value in errors.

    Raises:
        RunError: for a field that is missing or of another type, naming its path, what was
            expected and what was found; and for what a dataclass itself refuses.

    Example:
        >>> decoded(tuple[int, ...], [1, 2], "steps")
        (1, 2)
        >>> decoded(tuple[int, ...], [1, "2"], "steps")
        Traceback (most recent call last):
        spikewright.errors.RunError: steps[1]: expected int, got str
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        place = what + path.removesuffix("`")
        problem = problem[:1].lower() + problem[1:]
        raise RunError(f"{place}: {problem.replace('`', '')}") from error


def encoded(value: DataclassInstance) -> dict[str, Any]:
    """A dataclass, and all in it, as the plain values that `parsed` would return: no tuples.

    Raises:
        ValueError: for NaN and infinity, which have no place in JSON.
    """
    return json.loads(json.dumps(asdict(value), allow_nan=False))
