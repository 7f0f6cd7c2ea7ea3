"""`spikewright rerun`: a finished command again, its numbers beside those recorded."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import takewhile
from os.path import realpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from safetensors import SafetensorError
from safetensors.torch import load_file

from spikewright.cli.console import print_note, print_text
from spikewright.cli.failures import ExitCode, WrongUsage
from spikewright.cli.keeping import CELLS
from spikewright.decoding import decoded, parsed
from spikewright.errors import RunError
from spikewright.fingerprint import fingerprint
from spikewright.training.threads import intra_op_threads

CONFIGURATION_FILE = "config.json"
NUMBERS = {
    "sweep": ("results.json",),
    "misalignment": ("results.json",),
    "demo": ("results.json",),
    "evaluate": ("results.json",),
    "energy": ("results.json",),
    "convert": ("summary.txt", "network.safetensors"),
}
"""The files of a command's folder that hold its numbers."""
NO_NUMBERS = {"configuration", "record", "command"}
"""What a file of results holds besides what was measured."""
SHOWN = 5
"""The number of differing values that are shown one by one."""

Difference = tuple[str, Any, Any]
"""A name, what it was, what it is now."""


def rerun(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN")],
    output: Annotated[Path | None, typer.Option(metavar="DIR")] = None,
) -> None:
    """Carry out the command of RUN again, and say whether its numbers are the same.

    With the versions, the machine and the inputs of then they are, to the last bit; what of these
    has changed is listed. Start it in the folder that the command was started in, as paths may be
    relative to it. The exit code is 6 when a number differs.

    Args:
        run: The --output folder of a finished sweep, evaluate, misalignment, energy, convert or
            demo.
        output: The folder in which the new results are kept; after a kill the same rerun goes on
            from there.
    """
    before, recorded = _configuration(run), _values(run)
    if output is not None and realpath(output) == realpath(run):
        raise WrongUsage(f"--output {output} is the run itself: name another folder")
    with TemporaryDirectory(prefix="spikewright-") as scratch:
        folder = Path(scratch) if output is None else output
        try:
            _repeat(context, before, folder)
        except typer.Exit as end:
            if end.exit_code == ExitCode.INTERRUPTED and output is None:
                print_note("that folder was a temporary one and is gone: --output DIR keeps cells")
            raise
        after, now = _configuration(folder), _values(folder)
    changed, unequal = _differing(before.besides, after.besides), _differing(recorded, now)
    print_text(_verdict(changed, unequal, len(recorded)))
    if unequal:
        raise typer.Exit(ExitCode.DIFFERENT)


@dataclass(frozen=True)
class _Configuration:
    """What rerun reads of a config.json."""

    command: str
    arguments: tuple[str, ...]
    environment: dict[str, Any]
    inputs: dict[str, str]

    @property
    def besides(self) -> dict[str, Any]:
        """What decides numbers besides options, by name."""
        return _flat({"environment": self.environment, "inputs": self.inputs})


def _configuration(run: Path) -> _Configuration:
    path = run / CONFIGURATION_FILE
    if (run / CELLS).is_dir() and not path.is_file():
        raise WrongUsage(f"'{run}' is unfinished: start its command again, it goes on from there")
    try:
        configuration = decoded(_Configuration, parsed(path.read_bytes(), "the text"), "it")
    except (OSError, RunError) as error:
        raise WrongUsage(
            f"'{run}' holds no readable {CONFIGURATION_FILE} of this version ({error}); give the "
            f"--output folder of {', '.join(NUMBERS)}"
        ) from error
    if configuration.command not in NUMBERS:
        raise WrongUsage(f"'{path}' is not of a command that can be repeated: {', '.join(NUMBERS)}")
    return configuration


def _repeat(context: typer.Context, recorded: _Configuration, folder: Path) -> None:
    """Carry out the recorded command line with as many threads as then."""
    words = list(recorded.arguments)
    options = sum(1 for _ in takewhile(lambda word: word.startswith("-"), words))
    behind = options + 1  # the name of the command; what stands behind `--` is no option
    words[behind:behind] = ["--output", str(folder)]
    program = context.find_root()
    try:
        with intra_op_threads(recorded.environment["threads"]), redirect_stdout(io.StringIO()):
            program.command.main(words, program.info_name)
    except SystemExit as end:
        if end.code:
            raise typer.Exit(end.code if isinstance(end.code, int) else 1) from None


def _values(run: Path) -> dict[str, Any]:
    """Every value that the files of a run hold, by name."""
    names = NUMBERS[_configuration(run).command]
    return {k: v for name in names for k, v in _values_in(run / name).items()}


def _values_in(path: Path) -> dict[str, Any]:
    """Every value of a file by name; of tensors their hash."""
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
            return {name: fingerprint({name: tensor}) for name, tensor in tensors.items()}
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return {f"{path.name}:{n}": line for n, line in enumerate(text.splitlines(), start=1)}
        return _flat(decoded(dict[str, Any], parsed(text, "the text"), "the document"))
    except (OSError, ValueError, RunError, SafetensorError) as error:
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
        return {name.removeprefix("/"): value}
    return {k: v for key, inner in entries for k, v in _flat(inner, f"{name}/{key}").items()}


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    names = dict.fromkeys((*before, *now))
    pairs = ((name, before.get(name), now.get(name)) for name in names)
    return [(name, then, value) for name, then, value in pairs if then != value]


def _verdict(changed: list[Difference], unequal: list[Difference], values: int) -> str:
    """What has changed, then whether the values are equal."""
    lines = [f"changed: {name}: {then}, now {now}" for name, then, now in changed]
    if not unequal:
        return "\n".join([*lines, f"the same: all {values:,} values are equal"])
    shown = [f"  {name}: {then}, now {now}" for name, then, now in unequal[:SHOWN]]
    more = len(unequal) - SHOWN
    shown += [f"  and {more:,} more"] if more > 0 else []
    verdict = f"different: {len(unequal):,} of {values:,} values are not equal"
    return "\n".join([*lines, verdict, *shown])
