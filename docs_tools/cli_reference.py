"""The command line's reference page, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from typer.main import get_command

from spikewright.cli.app import app
from spikewright.cli.failures import EXIT_CODES

KINDS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}
INTRODUCTION = """\
# Command line

Generated from the commands when this site is built; `spikewright COMMAND --help` says the same.
{exit_codes}
"""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        words = (*path, name)
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield " ".join(words), command


def all_commands() -> dict[str, Any]:
    """Every command of `spikewright`, by the words that call it."""
    return dict(commands(get_command(app)))


def page() -> str:
    """The page, as Markdown."""
    found = all_commands()
    parts = [INTRODUCTION.format(exit_codes=EXIT_CODES)]
    parts += [_section(name, command) for name, command in found.items()]
    return "\n".join(parts)


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([f"spikewright {name}", *(_metavar(p) for p in arguments)])
    lines = [f"## spikewright {name}", "", "```text", f"{usage} [OPTIONS]", "```", ""]
    lines += [_prose(command.help or ""), ""]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| {_code(_metavar(p))} | {_cell(p.help)} |" for p in arguments]
        lines.append("")
    if options:
        lines += ["| option | default | meaning |", "|---|---|---|"]
        lines += [_option(option) for option in options]
        lines.append("")
    return "\n".join(lines)


def _metavar(parameter: Any) -> str:
    """What stands for the value of an argument or option."""
    if parameter.metavar:
        return parameter.metavar
    if isinstance(parameter.default, Enum):
        return "/".join(choice.value for choice in type(parameter.default))
    return KINDS.get(type(parameter.default), "VALUE")


def _option(option: Any) -> str:
    spelled = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    takes = "" if option.is_flag else f" {_code(_metavar(option))}"
    default = "required" if option.required else _default(option)
    return f"| {spelled}{takes} | {default} | {_cell(option.help)} |"


def _default(option: Any) -> str:
    value = option.default
    if option.is_flag and not value:
        return ""
    if isinstance(option.show_default, str):
        return option.show_default
    if value is None or callable(value) or value == () or value == []:
        return ""
    return _code(str(getattr(value, "value", value)))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|")


def _cell(text: str | None) -> str:
    """Help as one cell of a table; words in capitals and angle brackets stay text."""
    told = " ".join((text or "").split())
    return told.replace("|", r"\|").replace("<", "&lt;")


def _prose(text: str) -> str:
    return re.sub(r"(?<!`)\b(DIR|MODEL|FILE|RUN|NETWORKS)\b(?!`)", r"`\1`", text)


def option_names(command: Any) -> set[str]:
    """Every spelling of a command's options."""
    named = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return {name for name in named if name.startswith("-")} | {"--help", "-h"}
