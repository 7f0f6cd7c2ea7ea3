"""What `rerun` does: the recorded command again, and its numbers beside those recorded."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spikewright.cli.failures import ExitCode, WrongUsage
from spikewright.cli.keeping import CELLS
from spikewright.cli.record import DATASET, option_words
from spikewright.fingerprint import fingerprint
from spikewright.training.threads import intra_op_threads

CONFIGURATION_FILE = "config.json"
NUMBERS = {
    "sweep": ("results.json",),
    "misalignment": ("results.json",),
    "demo": ("results.json",),
    "evaluate": ("results.json",),
    "energy": ("operations.json",),
    "convert": ("summary.txt", "network.safetensors"),
}
"""The files of a command's folder that hold its numbers."""
NO_OPTIONS = {"spikewright", "command", DATASET, "environment", "inputs"}
"""What a configuration holds besides options."""
NO_NUMBERS = {"configuration", "record", "command"}
"""What a file of results holds besides what was measured; the environment is told apart."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        configuration: what was asked for, and in which environment.
        values: everything measured, by name.
    """

    configuration: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def besides(self) -> dict[str, Any]:
        """What decides numbers besides options, by name."""
        return _flat({key: self.configuration.get(key, {}) for key in ("environment", "inputs")})


@dataclass(frozen=True)
class Comparison:
    """Two runs of one command; a difference is a name, what it was, what it is now.

    Attributes:
        values: how many values were compared.
        unequal: those that differ.
        changed: what else is not as it was, such as versions.
    """

    values: int
    unequal: tuple[tuple[str, Any, Any], ...]
    changed: tuple[tuple[str, Any, Any], ...]


def read_run(folder: Path) -> Run:
    """What a folder holds of a finished run.

    Raises:
        WrongUsage: when it holds none of a command that can be repeated, or damaged files.
    """
    configuration = _configuration(folder)
    values: dict[str, Any] = {}
    for name in NUMBERS[configuration["command"]]:
        values |= _values(folder / name)
    return Run(configuration, values)


def _configuration(run: Path) -> dict[str, Any]:
    path = run / CONFIGURATION_FILE
    if (run / CELLS).is_dir() and not path.is_file():
        raise WrongUsage(f"'{run}' is unfinished: start its command again, it goes on from there")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WrongUsage(
            f"'{run}' holds no readable {CONFIGURATION_FILE} ({error}); give the --output folder "
            f"of {', '.join(NUMBERS)}"
        ) from error
    if not isinstance(found, dict) or found.get("command") not in tuple(NUMBERS):
        raise WrongUsage(f"'{path}' is not of a command that can be repeated: {', '.join(NUMBERS)}")
    return found


def repeat(configuration: Mapping[str, Any], folder: Path) -> int:
    """Carry out the recorded command with as many threads as then; returns its exit code.

    Args:
        configuration: of a finished run.
        folder: the new --output.
    """
    from typer.main import get_command

    from spikewright.cli.app import app  # the commands import this module

    options = {k: v for k, v in configuration.items() if k not in NO_OPTIONS}
    words = [configuration["command"], *option_words(options), "--output", str(folder)]
    threads = configuration.get("environment", {}).get("threads", torch.get_num_threads())
    try:
        with intra_op_threads(threads), redirect_stdout(io.StringIO()):
            get_command(app).main(words, prog_name="spikewright")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK
    return ExitCode.OK


def compare(then: Run, now: Run) -> Comparison:
    """The values of two runs, and what else differs."""
    unequal = _unequal(then.values, now.values)
    return Comparison(len(then.values), unequal, _unequal(then.besides, now.besides))


def _values(path: Path) -> dict[str, Any]:
    """Every value of a file by name; of tensors their hash."""
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
            return {name: fingerprint({name: tensor}) for name, tensor in tensors.items()}
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return {f"{path.name}:{n}": line for n, line in enumerate(text.splitlines(), start=1)}
        document = json.loads(text)
        return _flat({k: v for k, v in document.items() if k not in NO_NUMBERS})
    except (OSError, ValueError, RecursionError, AttributeError, SafetensorError) as error:
        raise WrongUsage(f"'{path}' cannot be read ({error}): there is nothing to compare") from (
            error
        )


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """The values in plain JSON values, by their path."""
    if isinstance(value, Mapping):
        entries = [(k, v) for k, v in value.items() if k not in NO_NUMBERS]
    elif isinstance(value, list):
        entries = list(enumerate(value))
    else:
        return {name: value}
    return {k: v for key, inner in entries for k, v in _flat(inner, f"{name}/{key}").items()}


def _unequal(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    names = dict.fromkeys((*before, *now))
    return tuple(
        (name.lstrip("/"), before.get(name), now.get(name))
        for name in names
        if before.get(name) != now.get(name)
    )
