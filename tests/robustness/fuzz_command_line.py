"""Random command lines, run: `python -m tests.robustness.fuzz_command_line [LINES] [SEED]`.

Every one must end in time, without a traceback, with an exit code that `spikewright --help`
documents, and leave no half-written file; an internal error (1) is a fault as well. Before them
come the lines of `SOUND`, which must work. Most run in this process, some as a user's would.
What is at fault is printed as a command that repeats it.
"""

from __future__ import annotations

import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from typer.testing import CliRunner

from docs_tools.cli_reference import PROGRAMS
from spikewright.cli.failures import ExitCode
from tests.robustness.command_lines import command_line, grammars, program_of, sound_lines
from tests.robustness.command_places import make_places

SECONDS = 180
"""Of processor time, the most that a line may take; the slowest honest ones take a quarter."""
WAIT = 20 * 60
"""Of time by the clock, for lines that wait for something; machines may be busy."""
MEMORY = 16 * 2**30
"""Bytes of address space: a line that asks for the whole machine must not get it."""
ONE_IN = 100
"""Of so many lines one is run as a process of its own."""
RESTORED_EVERY = 25
"""Lines change the files that they name; after so many all are as they were."""
TOLD_EVERY = 100
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Verdict:
    """What became of a command line.

    Attributes:
        words: those behind the program; see `program_of`.
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


class Fuzz:
    """Runs command lines in a folder of files for them to name.

    Attributes:
        checkout: holds a copy of both programs, which processes run: what they add to the zoo goes
            there.
        here: where lines are run.
    """

    def __init__(self, folder: Path) -> None:
        """Fill an empty folder."""
        self.checkout = folder / "checkout"
        self.here = folder / "some" / "where"  # two levels, so that ../.. is still within
        self._pristine = folder / "pristine"
        unwanted = shutil.ignore_patterns("__pycache__")
        for name in ("spikewright", "paper"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=unwanted)
        self._pristine.mkdir()
        self.here.mkdir(parents=True)
        with _inside(self._pristine):
            make_places(self._pristine)

    def sound(self) -> list[Verdict]:
        """Run every line that works; it is at fault when it does not."""
        self._restore()
        return [_must_work(self._run(words)) for words in sound_lines()]

    def random(self, lines: int, seed: int, one_in: int = ONE_IN) -> list[Verdict]:
        """Run random lines.

        Args:
            lines: how many.
            seed: of their choice.
            one_in: of so many, one is a process of its own.
        """
        chance, every = random.Random(seed), grammars()
        found: list[Verdict] = []
        for number in range(lines):
            if number % RESTORED_EVERY == 0:
                self._restore()
            alone = number % one_in == one_in - 1
            found.append(self._run(command_line(chance, every), alone))
            if len(found) % TOLD_EVERY == 0:
                sys.stderr.write(f"{len(found)} of {lines}; by exit code {by_code(found)}\n")
        return found

    def _run(self, words: Sequence[str], alone: bool = False) -> Verdict:
        """One line; what goes into the zoo goes into that of the copy."""
        alone = alone or any(word.startswith("--add") for word in words)
        with _inside(self.here):
            found = _as_process(words, self.checkout) if alone else _in_process(words)
        found = found if found.fault else replace(found, fault=self._litter())
        if found.fault is not None:
            sys.stderr.write(f"{found.fault}: {shlex.join(words)!r}\n")
        return found

    def _litter(self) -> str | None:
        left = [str(path.relative_to(self.here)) for path in self.here.rglob(".*.partial")]
        if not left:
            return None
        self._restore()
        return f"leaves {left[0]}"

    def _restore(self) -> None:
        shutil.rmtree(self.here)
        shutil.copytree(self._pristine, self.here, symlinks=True)


def by_code(found: Sequence[Verdict]) -> str:
    """How many lines ended with each exit code."""
    codes = Counter(verdict.code for verdict in found)
    return ", ".join(f"{code}: {n}" for code, n in sorted(codes.items(), key=str))


def _must_work(found: Verdict) -> Verdict:
    fault = found.fault
    if fault is None and found.code != ExitCode.OK:
        fault = f"exits with {found.code} and should work"
        sys.stderr.write(f"{fault}: {shlex.join(found.words)!r}\n")
    return replace(found, fault=fault)


def _in_process(words: Sequence[str]) -> Verdict:
    start = time.monotonic()
    try:
        with _alarm():
            program, rest = program_of(words)
            result = CliRunner().invoke(PROGRAMS[program], rest, prog_name=program)
    except _TimeIsUp:
        return Verdict(words, None, "hangs", time.monotonic() - start)
    raised = result.exception
    escaped = None if isinstance(raised, SystemExit | None) else f"raises {raised!r}"
    if isinstance(raised, _TimeIsUp):
        escaped = "hangs"
    output = result.stdout + result.stderr
    fault = escaped or _fault(result.exit_code, output, "--debug" in words)
    return Verdict(words, result.exit_code, fault, time.monotonic() - start)


def _as_process(words: Sequence[str], checkout: Path) -> Verdict:
    start = time.monotonic()
    program, rest = program_of(words)
    command = [sys.executable, "-m", program.split()[-1], *rest]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=WAIT, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict(words, None, "hangs", time.monotonic() - start)
    output = (done.stdout + done.stderr).decode(errors="replace")
    fault = _fault(done.returncode, output, "--debug" in words)
    return Verdict(words, done.returncode, fault, time.monotonic() - start)


def _fault(code: int, output: str, debug: bool) -> str | None:
    if code not in set(ExitCode):
        return f"exits with {code}"
    if code == ExitCode.INTERNAL:
        line = next((line for line in output.splitlines() if "internal error" in line), "")
        return f"internal error ({line[:200]})"
    if "Traceback (most recent call last)" in output and not debug:
        return "shows a traceback"
    if code != ExitCode.OK and not output.strip():
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
        fuzz = Fuzz(Path(folder))
        sound, found = fuzz.sound(), fuzz.random(lines, seed)
    faults = [verdict for verdict in (*sound, *found) if verdict.fault is not None]
    slowest = max(found, key=lambda verdict: verdict.seconds)
    sys.stdout.write(
        f"{len(sound)} lines that must work, and {len(found)} random ones of seed {seed}; "
        f"these by exit code {by_code(found)}\n"
        f"slowest, {slowest.seconds:.0f} s: {shlex.join(slowest.words)!r}\n"
        f"at fault: {len(faults)}\n"
    )
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
