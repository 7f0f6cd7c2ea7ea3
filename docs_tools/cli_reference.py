"""The reference page of both command lines, from the commands themselves."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from typer import Typer
from typer.main import get_command

from paper.app import app as paper
from spikewright.cli.app import app as spikewright
from spikewright.cli.failures import EXIT_CODES

PROGRAMS = {"spikewright": spikewright, "python -m paper": paper}
"""The command lines by the words that start them; the second one needs a checkout."""

KINDS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}
INTRODUCTION = """\
# Command line

This page is generated from the commands when the site is built; `spikewright COMMAND --help` says
the same.
The commands of `python -m paper`, at the end, need a checkout of the repository.
{exit_codes}
"""


def all_commands() -> dict[str, Any]:
    """Every command, by the words that call it, such as `spikewright check`."""
    return {
        f"{program} {name}": command
        for program, app in PROGRAMS.items()
        for name, command in commands(app).items()
    }


def commands(app: Typer) -> dict[str, Any]:
    """The commands of one command line by name."""
    group: Any = get_command(app)
    return group.commands


def page() -> str:
    """The page, as Markdown."""
    parts = [INTRODUCTION.format(exit_codes=EXIT_CODES)]
    parts += [_section(name, command) for name, command in all_commands().items()]
    return "\n".join(parts)


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([name, *(_metavar(p) for p in arguments)])
    lines = [f"## {name}", "", "```text", f"{usage} [OPTIONS]", "```", ""]
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
    line = " ".join((text or "").split())
    return line.replace("|", r"\|").replace("<", "&lt;")


def _prose(text: str) -> str:
    return re.sub(r"(?<!`)\b(DIR|MODEL|FILE|RUN|NETWORKS)\b(?!`)", r"`\1`", text)


def option_names(command: Any) -> set[str]:
    """Every spelling of a command's options."""
    named = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return {name for name in named if name.startswith("-")} | {"--help", "-h"}
