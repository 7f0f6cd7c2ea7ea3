"""What was asked for, and what else decides the numbers: the content of config.json."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import typer

from spikewright.cli.options import DEFAULT_CORRECTION
from spikewright.files import printable
from spikewright.measure.run_record import describe_device
from spikewright.version import __version__

DATASET = "dataset"
"""The name of the opened data: unlike --data it separates simulated recordings from a camera's."""
ARGUMENTS = "arguments"
"""The words of the command line."""
TRAJECTORY = "trajectory"
"""The option of what is measured after all cells: none of them depends on it."""
NOT_RECORDED = {"output": 1, "share": 1, "json": 0}
"""Options that decide no number, and how many words follow each."""
NUMERIC_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn")
"""Other packages that results pass through, where they are installed."""


def record_of(
    context: typer.Context,
    dataset: str,
    device: str,
    inputs: Mapping[str, str],
    /,
    *groups: Any,
    **options: Any,
) -> dict[str, Any]:
    """The command line as given, every option by name, environment and inputs: plain JSON values.

    Args:
        context: of the command.
        dataset: the name of the opened data.
        device: by its name in --device.
        inputs: SHA-256 of what the options name.
        *groups: dataclasses of options.
        **options: the command's own.
    """
    values = {name: value for group in groups for name, value in vars(group).items()} | options
    if "threshold" in values and values.get("method") is None:
        values["correction"] = values["correction"] or DEFAULT_CORRECTION
    return {
        "spikewright": __version__,
        "command": context.info_name,
        ARGUMENTS: words_of(context),
        **{name: _plain(v) for name, v in values.items() if name not in NOT_RECORDED},
        DATASET: dataset,
        "environment": environment(device),
        "inputs": dict(inputs),
    }


def words_of(context: typer.Context) -> list[str]:
    """The words behind `spikewright` as given, without options that decide no number."""
    words, kept = [printable(word) for word in context.find_root().obj or ()], list[str]()
    while words:
        word = words.pop(0)
        if word == "--":  # behind it stands no option
            return [*kept, word, *words]
        name, equals, _ = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in NOT_RECORDED:
            kept.append(word)
        elif not equals:
            del words[: NOT_RECORDED[name]]
    return kept


def command_line(configuration: Mapping[str, Any]) -> str:
    """The command that a configuration is of, for a shell."""
    return shlex.join(["spikewright", *configuration[ARGUMENTS]])


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


def _plain(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return printable(str(value)) if isinstance(value, (Path, str)) else value
