"""Random command lines, run: `python -m benchmarks.fuzz_command_line [LINES] [SEED]`.

Every one must end in time, without a traceback, with an exit code that `spikewright --help`
documents; an internal error (1) is a fault as well. Most run in this process, some as a user's
would. What is at fault is printed as a command that repeats it.
"""

from __future__ import annotations

import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from typer.testing import CliRunner

from benchmarks.command_lines import DIGITS, Places, command_line, grammars
from spikewright.cli.app import app
from spikewright.cli.failures import ExitCode

SECONDS = 60
"""Of processor time, the most that a line may take; the slowest honest ones take a tenth of it."""
WAIT = 20 * SECONDS
"""Of time by the clock, for lines that wait for something; machines may be busy."""
MEMORY = 16 * 2**30
"""Bytes of address space: a line that asks for the whole machine must not get it."""
ONE_IN = 100
"""Of so many lines one is run as a process of its own."""
TOLD_EVERY = 100
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Verdict:
    """What became of a command line.

    Attributes:
        words: those behind `spikewright`.
        code: its exit code; None when it did not end in time.
        fault: what is wrong; None when nothing is.
        seconds: that it took.
    """

    words: Sequence[str]
    code: int | None
    fault: str | None
    seconds: float


class _TimeIsUp(BaseException):
    """Not an Exception: no command may catch it."""


def fuzzed(lines: int, seed: int, folder: Path, one_in: int = ONE_IN) -> list[Verdict]:
    """Run random command lines in a folder.

    Args:
        lines: how many.
        seed: of their choice.
        folder: empty; files are made in it for them to name.
        one_in: of so many, one is a process of its own.
    """
    chance = random.Random(seed)
    found: list[Verdict] = []
    with _inside(folder):
        places = make_places(folder)
        every = grammars(places)
        for number in range(lines):
            words = command_line(chance, every, places)
            run = _as_process if number % one_in == one_in - 1 else _in_process
            found.append(run(words))
            if found[-1].fault is not None:
                sys.stderr.write(f"{found[-1].fault}: {shlex.join(words)!r}\n")
            if len(found) % TOLD_EVERY == 0:
                sys.stderr.write(f"{len(found)} of {lines}\n")
    return found


def make_places(folder: Path) -> Places:
    """Put a saved network, a run and pictures into a folder."""
    from PIL import Image

    small = ["--data", "digits", "--calibration-samples", "8"]
    measured = ["--limit", "4", "--steps", "1", "--neuron", "nearest"]
    for words in (
        ["convert", DIGITS, *small, "--steps", "2", "--output", str(folder / "saved")],
        ["sweep", DIGITS, *small, *measured, "--output", str(folder / "run")],
    ):
        result = CliRunner().invoke(app, words)
        if result.exit_code:
            raise RuntimeError(f"{shlex.join(words)} ended with {result.exit_code}")
    network = folder / "saved" / "network.safetensors"
    damaged = folder / "damaged.safetensors"
    damaged.write_bytes(network.read_bytes()[:5000])
    for split in ("train", "test"):
        for number in range(10):
            path = folder / "pictures" / split / f"class{number}" / "0.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    (folder / "pictures" / "test" / "class3" / "0.png").write_bytes(b"no picture")
    return Places(folder, network, damaged, folder / "run", folder / "pictures")


def _in_process(words: Sequence[str]) -> Verdict:
    start = time.monotonic()
    try:
        with _alarm():
            result = CliRunner().invoke(app, list(words), prog_name="spikewright")
    except _TimeIsUp:
        return Verdict(words, None, "hangs", time.monotonic() - start)
    raised = result.exception
    escaped = None if isinstance(raised, SystemExit | None) else f"raises {raised!r}"
    if isinstance(raised, _TimeIsUp):
        escaped = "hangs"
    told = result.stdout + result.stderr
    fault = escaped or _fault(result.exit_code, told, "--debug" in words)
    return Verdict(words, result.exit_code, fault, time.monotonic() - start)


def _as_process(words: Sequence[str]) -> Verdict:
    start = time.monotonic()
    command = [sys.executable, "-m", "spikewright", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=WAIT, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict(words, None, "hangs", time.monotonic() - start)
    told = (done.stdout + done.stderr).decode(errors="replace")
    fault = _fault(done.returncode, told, "--debug" in words)
    return Verdict(words, done.returncode, fault, time.monotonic() - start)


def _fault(code: int, told: str, debug: bool) -> str | None:
    if code not in set(ExitCode):
        return f"exits with {code}"
    if code == ExitCode.INTERNAL:
        line = next((line for line in told.splitlines() if "internal error" in line), "")
        return f"internal error ({line[:200]})"
    if "Traceback (most recent call last)" in told and not debug:
        return "shows a traceback"
    if code != ExitCode.OK and not told.strip():
        return f"exits with {code} and says nothing"
    return None


@contextmanager
def _alarm() -> Generator[None]:
    def ring(*_: object) -> None:
        raise _TimeIsUp

    timers = {signal.ITIMER_PROF: SECONDS, signal.ITIMER_REAL: WAIT}
    signals = (signal.SIGPROF, signal.SIGALRM)
    before = [signal.signal(number, ring) for number in signals]
    for timer, seconds in timers.items():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _inside(folder: Path) -> Generator[None]:
    before = Path.cwd()
    sys.path.insert(0, str(ROOT))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path.remove(str(ROOT))


def main() -> None:
    """Run as many lines as the first argument says, from the seed that the second one says."""
    lines, seed = (int(word) for word in ([*sys.argv[1:], *["2000", "0"][len(sys.argv) - 1 :]]))
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        found = fuzzed(lines, seed, Path(folder))
    codes = Counter(verdict.code for verdict in found)
    told = ", ".join(f"{code}: {n}" for code, n in sorted(codes.items(), key=str))
    faults = [verdict for verdict in found if verdict.fault is not None]
    slowest = max(found, key=lambda verdict: verdict.seconds)
    sys.stdout.write(
        f"{len(found)} command lines of seed {seed}; by exit code {told}\n"
        f"slowest, {slowest.seconds:.0f} s: {shlex.join(slowest.words)!r}\n"
        f"at fault: {len(faults)}\n"
    )
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
