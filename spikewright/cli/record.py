"""What was asked for: as plain values for config.json, and as a command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from spikewright.cli.options import DEFAULT_THRESHOLD, ConversionOptions
from spikewright.version import __version__

NOT_RECORDED = {"json", "output"}


def configuration_of(command: str, groups: Sequence[Any], **more: Any) -> dict[str, Any]:
    """Every option by name, as plain JSON values.

    Args:
        command: the command's name.
        groups: dataclasses of options.
        **more: the command's own options.
    """
    found: dict[str, Any] = {"spikewright": __version__, "command": command}
    for group in groups:
        found |= {name: _plain(value) for name, value in _settled(group).items()}
    found |= {name: _plain(value) for name, value in more.items()}
    return {name: value for name, value in found.items() if name not in NOT_RECORDED}


def _settled(group: Any) -> dict[str, Any]:
    """The options of a group, with what stands where none was given."""
    values = dict(vars(group))
    if isinstance(group, ConversionOptions) and group.method is None:
        values["threshold"] = group.threshold or DEFAULT_THRESHOLD
        values["bias_correction"] = group.bias_correction is not False
    return values


def command_line(command: str, groups: Sequence[Any], **more: Any) -> str:
    """The command that repeats a run, with the options that are not at their defaults.

    Args:
        command: the command's name.
        groups: dataclasses of options.
        **more: the command's own options; all are written out.
    """
    words = ["spikewright", command]
    for group in groups:
        for field in fields(group):
            value = getattr(group, field.name)
            if field.name == "model":
                words.append(str(value))
            elif field.name not in NOT_RECORDED and value != field.default:
                words += _option(field.name, value)
    for name, value in more.items():
        words += _option(name, value)
    return shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    option = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [word for v in values for word in (option, str(v))]


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
