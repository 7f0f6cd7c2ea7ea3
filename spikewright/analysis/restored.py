"""Results from plain JSON values: what `dataclasses.asdict` took apart, put together again."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def restored(kind: type[T], document: Mapping[str, Any]) -> T:
    """A dataclass from its fields by name.

    Fields may be plain values, dataclasses, tuples of either, or None where the type allows it.

    Args:
        kind: the dataclass.
        document: what `dataclasses.asdict` made of one, after a way through JSON.

    Raises:
        KeyError: for a field that is not there.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType]
    return kind(**{name: _value(hints[name], document[name]) for name in names})


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = [option for option in get_args(kind) if option is not types.NoneType]
    if is_dataclass(kind):
        return restored(kind, value)  # pyright: ignore[reportArgumentType, reportUnknownVariableType]
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], entry) for entry in value)
    return value
