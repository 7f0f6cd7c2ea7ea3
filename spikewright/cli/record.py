"""What was asked for: as plain values for config.json, and as a command that repeats it."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from spikewright.cli.options import DEFAULT_THRESHOLD, ConversionOptions
from spikewright.measure.run_record import describe_device
from spikewright.version import __version__

NOT_RECORDED = {"json", "output", "share"}
DATASET = "dataset"
"""The name of the opened data: unlike --data it tells simulated recordings from a camera's."""
ARGUMENTS = {"model", "file"}
"""What is named on a command line without an option."""
NUMERIC_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn")
"""Other packages that results pass through, where they are installed."""


def configuration_of(command: str, groups: Sequence[Any], /, **more: Any) -> dict[str, Any]:
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


def repeatable(
    command: str,
    groups: Sequence[Any],
    device: str,
    dataset: str,
    inputs: Mapping[str, str],
    /,
    **more: Any,
) -> dict[str, Any]:
    """All that `spikewright rerun` needs: options, environment, and what the inputs were.

    Args:
        command: the command's name.
        groups: dataclasses of options.
        device: by its name in --device.
        dataset: the name of the opened data.
        inputs: hashes of what the options name.
        **more: the command's own options.
    """
    asked = configuration_of(command, groups, **more)
    known = {DATASET: dataset, "environment": environment(device), "inputs": dict(inputs)}
    return {**asked, **known}


def environment(device: str) -> dict[str, Any]:
    """Everything besides options and files that decides the last bit of a number."""
    versions = {"python": platform.python_version()}
    for package in ("spikewright", *NUMERIC_PACKAGES):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    versions["spikewright"] = __version__
    return {
        "versions": versions,
        "platform": platform.platform(),
        "device": describe_device(torch.device(device)),
        "threads": torch.get_num_threads(),
    }


def _settled(group: Any) -> dict[str, Any]:
    """The options of a group, with what stands where none was given."""
    values = dict(vars(group))
    if isinstance(group, ConversionOptions) and group.method is None:
        given = {name: values[name] for name in _SETTLED if values[name] is not None}
        values |= {**_SETTLED, **given}
    return values


def command_line(command: str, groups: Sequence[Any], /, **more: Any) -> str:
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
            if field.name not in NOT_RECORDED and value != field.default:
                words += _words(field.name, value)
    for name, value in more.items():
        words += _words(name, value)
    return shlex.join(words)


def option_words(options: Mapping[str, Any]) -> list[str]:
    """The words of a command line that give the options of a configuration."""
    words: list[str] = []
    for name, value in options.items():
        if value != _SETTLED.get(name):  # None included: an option that was not given
            words += _words(name, value)
    return words


_SETTLED: dict[str, Any] = {"threshold": DEFAULT_THRESHOLD, "bias_correction": True}
"""What `_settled` puts where nothing was given, without a method."""


def _words(name: str, value: Any) -> list[str]:
    if name in ARGUMENTS:
        return [str(value)]
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
