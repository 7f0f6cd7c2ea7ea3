"""Groups of options: a command takes a dataclass, the user sees each field as an option."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

import typer


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take groups of options, as Typer itself cannot.

    A parameter whose type is a dataclass is replaced by the dataclass's fields (each an
    `Annotated[type, typer.Option(...)]`), and made from them again when the command is called.
    The wrapped command also receives Typer's context, as its only positional argument.

    Example:
        >>> @dataclass(frozen=True)
        ... class Size:
        ...     width: Annotated[int, typer.Option(help="In pixels.")] = 8
        >>> @app.command()
        ... @expanded
        ... def draw(context: typer.Context, /, size: Size) -> None:
        ...     print(size.width)
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {n: h for n, h in hints.items() if is_dataclass(h)}  # pyright: ignore
    parameters = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    ]
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _options_of(groups[name])
        elif hints.get(name) is not typer.Context:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            )

    @wraps(command)
    def called(context: typer.Context, **given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(context, **made, **given)

    called.__dict__.pop("__wrapped__", None)  # Typer would read the signature of the original
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    setattr(called, "__signature__", inspect.Signature(parameters))  # noqa: B010 (typed as absent)
    return called


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
