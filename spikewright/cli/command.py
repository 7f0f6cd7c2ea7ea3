"""A function becomes a command: its parameters are the options, its docstring is the help.

    def draw(size: Size, colour: str = "red") -> None:
        '''Draw a picture.

Args:
            colour: The colour of the lines.
        '''

A parameter is an option of its name and type; where its type is a dataclass, such as `Size`, every
field of that is an option. What a dataclass says of its fields under `Attributes:`, and a function
of its own parameters under `Args:`, is their help. `Annotated[type, typer.Option(...)]` adds what a
type cannot say, such as a range; `Annotated[type, typer.Argument(...)]` is a word without a name.
`tuple[X, ...]` is a list with commas, and True or False with the default False is a flag.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from spikewright.cli.console import json_alone
from spikewright.cli.failures import WrongUsage, reporting
from spikewright.cli.parse import items, number, whole
from spikewright.processes import launched

T = TypeVar("T")
REQUIRED = inspect.Parameter.empty
NONE = "none"
"""Spells a tuple of nothing, where a tuple names members of an enumeration."""
METAVARS = {int: "N,N,...", float: "X,X,...", str: "NAME,NAME,..."}
"""The metavariables of tuples whose fields name none, by the type of their members."""


@dataclass(frozen=True)
class Deferred(Generic[T]):
    """A group of options that a command makes if it needs it, as `Deferred[Group]`.

    Attributes:
        make: returns the group; raises WrongUsage where a field without a default is missing.
        named: the options of the group that the command line names.
    """

    make: Callable[[], T]
    named: tuple[str, ...]


@dataclass(frozen=True)
class _Option:
    """One option or argument.

    Attributes:
        name: of the parameter or field.
        parameter: for Typer.
        convert: from what Typer reads to the value.
    """

    name: str
    parameter: inspect.Parameter
    convert: Callable[[Any], Any]


@dataclass(frozen=True)
class _Group:
    """A parameter of a command whose fields are options."""

    kind: type[Any]
    deferred: bool
    options: tuple[_Option, ...]


def shared(function: Callable[..., None]) -> Callable[..., None]:
    """Mark a command that several processes can carry out together."""
    setattr(function, "shared", True)  # noqa: B010 (typed as absent)
    return function


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """What Typer can register, and what reports errors by exit codes.

    Args:
        function: of keyword parameters; one of type `typer.Context` receives Typer's context.
    """
    hints = get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    contexts = [name for name, hint in hints.items() if hint is typer.Context]
    groups = {name: group for name, hint in hints.items() if (group := _group(hint)) is not None}
    helps = described(function.__doc__, "Args")
    own = tuple(
        _option(name, hints[name], parameter.default, helps.get(name), None)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in groups and name not in contexts
    )

    @wraps(function)
    def called(context: typer.Context, **values: Any) -> None:
        with reporting(context), json_alone() if values.get("json") else nullcontext():
            if not getattr(function, "shared", False):
                _refuse_several(function.__name__)
            made = {name: _made(group, values, context) for name, group in groups.items()}
            made |= {option.name: option.convert(values[option.name]) for option in own}
            function(**dict.fromkeys(contexts, context), **made)

    every = [option.parameter for group in groups.values() for option in group.options]
    every += [option.parameter for option in own]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    _disguise(called, [context, *every])
    called.__doc__ = _prose(function.__doc__)
    return called


def _prose(docstring: str | None) -> str:
    """A docstring before its sections, every paragraph as one line, as terminals break them."""
    text = inspect.cleandoc(docstring or "").partition("\n\nArgs:\n")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def described(docstring: str | None, section: str) -> dict[str, str]:
    """What a section of a docstring, such as `Args`, says of each name."""
    _, _, text = inspect.cleandoc(docstring or "").partition(f"\n{section}:\n")
    text = re.split(r"\n(?=\S)", text)[0]
    entries = re.findall(r"^    (\w[\w, ]*): (.*(?:\n(?: {5,}.*|))*)", text, re.MULTILINE)
    return {
        name.strip(): " ".join(text.replace("`", "").split())
        for names, text in entries
        for name in names.split(",")
    }


def _group(hint: Any) -> _Group | None:
    """The group of options that a parameter of this type stands for, if it is one."""
    deferred = get_origin(hint) is Deferred
    kind = get_args(hint)[0] if deferred else hint
    if not is_dataclass(kind) or not isinstance(kind, type):
        return None
    hints, helps = get_type_hints(kind, include_extras=True), described(kind.__doc__, "Attributes")
    panel = re.sub(r"(Options|Recipe)$", "", kind.__name__)
    options: list[_Option] = []
    for field in fields(kind):
        default = REQUIRED if field.default is MISSING else field.default
        default = None if deferred and default is REQUIRED else default
        options.append(_option(field.name, hints[field.name], default, helps[field.name], panel))
    return _Group(kind, deferred, tuple(options))


def _made(group: _Group, values: Mapping[str, Any], context: typer.Context) -> Any:
    def make() -> Any:
        made = {option.name: option.convert(values[option.name]) for option in group.options}
        for field in fields(group.kind):
            if group.deferred and field.default is MISSING and made[field.name] is None:
                raise WrongUsage(f"{_spelled(field.name)} is needed; see --help")
        return group.kind(**made)

    if not group.deferred:
        return make()
    names = [option.name for option in group.options]
    sources = {name: context.get_parameter_source(name) for name in names}
    named = [
        _spelled(n) for n, source in sources.items() if getattr(source, "name", "") != "DEFAULT"
    ]
    return Deferred(make, tuple(named))


def _option(name: str, hint: Any, default: Any, text: str | None, panel: str | None) -> _Option:
    kind, info = _taken_apart(hint)
    info = typer.Option() if info is None else copy.copy(info)
    info.help = info.help or text
    if default is None or default is REQUIRED or isinstance(info, ArgumentInfo):
        info.show_default = False
    if isinstance(info, OptionInfo):
        info.rich_help_panel = info.rich_help_panel or panel
        if kind is bool and default is False:
            info.param_decls = info.param_decls or (_spelled(name),)
        if kind is bool:
            info.metavar = " "  # a flag takes no value
    convert = _as_it_is
    if get_origin(kind) is tuple:
        convert = _list_reader(get_args(kind)[0], _spelled(name), info)
        kind, default = str, _joined(default)
    elif kind in (Path, list[Path]):
        info.parser = info.parser or path
    annotation = Annotated[kind | None if default is None else kind, info]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameter = inspect.Parameter(name, keyword, default=default, annotation=annotation)
    return _Option(name, parameter, convert)


def _as_it_is(value: Any) -> Any:
    return value


def _list_reader(member: type[Any], option: str, info: Any) -> Callable[[str | None], Any]:
    """Reads a list with commas; what Typer would do with its parts is taken from `info`."""
    parse, least, most = info.parser, info.min, info.max
    info.parser = info.min = info.max = None
    info.metavar = info.metavar or METAVARS.get(member, METAVARS[str])

    def read(text: str | None) -> Any:
        if text is None:
            return None
        return parse(text) if parse else _members(text, member, option, least, most)

    return read


def path(text: str | Path) -> Path:
    """Read a path; an empty one would be the current folder, which nobody named.

    Raises:
        typer.BadParameter: for an empty one.
    """
    if not str(text):
        raise typer.BadParameter(
            "it is empty, as where a variable of the shell is not set; the current folder is '.'"
        )
    return Path(text)


def _joined(default: Any) -> Any:
    """A default as it would be written."""
    return (",".join(map(str, default)) or NONE) if isinstance(default, tuple) else default


def _taken_apart(hint: Any) -> tuple[Any, Any]:
    """A type without None, and what `Annotated` adds to it."""
    info = None
    if get_origin(hint) is Annotated:
        hint, info = hint.__origin__, hint.__metadata__[0]
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    return hint, info


def _members(text: str, kind: type[Any], option: str, least: Any, most: Any) -> tuple[Any, ...]:
    """The values of a list with commas.

    Raises:
        WrongUsage: naming the first that is none of this kind, or out of bounds.
    """
    if issubclass(kind, StrEnum):
        if text.strip().lower() == NONE:
            return ()
        return tuple(_member(part.lower(), kind, option) for part in items(text, option))
    parts = items(text, option)
    if kind is int:
        return tuple(whole(part, option, least, most) for part in parts)
    return tuple(number(part, option) for part in parts) if kind is float else tuple(parts)


def _member(text: str, kind: type[StrEnum], option: str) -> StrEnum:
    try:
        return kind(text)
    except ValueError:
        raise WrongUsage(f"{option} {text}: give some of {', '.join(kind)}, or {NONE}") from None


def _spelled(name: str) -> str:
    return "--" + name.replace("_", "-")


def _refuse_several(name: str) -> None:
    if launched()[1] > 1:
        raise WrongUsage(
            f"'{name.replace('_', '-')}' is the work of one process: start it without a launcher "
            "(train, sweep, evaluate, misalignment, energy and python -m paper tables share theirs)"
        )


def _disguise(called: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """Give a function the signature that Typer is to read."""
    called.__dict__.pop("__wrapped__", None)  # Typer would read the signature of the original
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    setattr(called, "__signature__", inspect.Signature(parameters))  # noqa: B010 (typed as absent)
