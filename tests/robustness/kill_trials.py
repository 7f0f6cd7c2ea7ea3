"""Kills commands at random: `python -m tests.robustness.kill_trials [KILLS] [SEED] [NAME ...]`.

A command runs once undisturbed. Then, again and again, it is started in a new folder, ended by
SIGKILL at a random moment of its work, and started once more: what it leaves must be what the
undisturbed run left, byte for byte but for the time. What lies in the folder right after a kill
must be whole.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from spikewright.fingerprint import fingerprint

ROOT = Path(__file__).resolve().parents[2]
DIGITS = "spikewright.models:digits_cnn"
UNTIMED = ("report.html", "timing.json")
"""Files that tell when they were made."""
TIMES = ("seconds", "training_seconds", "started")
TRIES = 4
"""Starts for every kill: one that was finished before its moment came does not count."""

COMMANDS = {
    "sweep": (
        *("sweep", DIGITS, "--data", "digits", "--batch-size", "25", "--seeds", "2"),
        *("--steps", "1,4,16,64", "--neuron", "if,tpp,nearest", "--calibration-samples", "64"),
    ),
    "train": (
        *("train", "--data", "digits", "--model", "digits_cnn", "--activation", "qcfs"),
        *("--levels", "4", "--epochs", "6"),
    ),
    "train-sequences": (
        *("train-sequences", "--data", "digits-rows", "--units", "64", "--epochs", "6"),
    ),
    "save": (
        *("convert", DIGITS, "--data", "digits", "--calibration-samples", "128"),
        *("--steps", "2,4,8,16,32", "--neuron", "if"),
    ),
}


@dataclass(frozen=True)
class Trial:
    """A kill and what came of it.

    Attributes:
        after: seconds of work before the kill.
        left: names of the files that lay in the folder after it.
        fault: what went wrong; None when the resumed run left what an undisturbed one leaves.
    """

    after: float
    left: tuple[str, ...]
    fault: str | None


def trials(name: str, kills: int, seed: int, folder: Path) -> list[Trial]:
    """Kill a command so many times.

    Args:
        name: of `COMMANDS`.
        kills: how many.
        seed: of the moments.
        folder: empty.
    """
    chance = random.Random(f"{name} {seed}")
    whole = folder / "whole"
    seconds = _work(name, whole, None)
    if seconds is None:
        raise RuntimeError(f"{name} does not work undisturbed")
    expected = _contents(whole)
    found: list[Trial] = []
    for number in range(TRIES * kills):
        killed = folder / str(number)
        after = chance.uniform(0, seconds)
        if _work(name, killed, after) is None:
            found.append(_resumed(name, killed, after, expected))
            sys.stderr.write(f"{name}: {found[-1]}\n")
        shutil.rmtree(killed)
        if len(found) == kills:
            break
    return found


def _resumed(name: str, folder: Path, after: float, expected: dict[str, Any]) -> Trial:
    left = tuple(sorted(path.name for path in folder.iterdir()))
    fault = _broken(folder)
    if _work(name, folder, None) is None:
        fault = fault or "the second start fails"
    elif _contents(folder) != expected:
        now = _contents(folder)
        unequal = [k for k in {*now, *expected} if now.get(k) != expected.get(k)]
        fault = fault or f"other contents: {', '.join(sorted(unequal))}"
    return Trial(round(after, 2), left, fault)


def _work(name: str, folder: Path, kill_after: float | None) -> float | None:
    """Seconds of work from when the folder appears; None if it was killed, or failed."""
    command = [sys.executable, "-m", "spikewright", *COMMANDS[name], "--output", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    there = folder.exists()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd=ROOT
    )
    while not there and not folder.exists() and process.poll() is None:
        time.sleep(0.005)
    start = time.monotonic()
    try:
        _, told = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return None
    if process.returncode:
        sys.stderr.write(told.decode(errors="replace"))
        return None
    return time.monotonic() - start


def _contents(folder: Path) -> dict[str, Any]:
    """Every file but those that tell the time; of JSON all but times, of tensors every bit.

    What a killed process was writing stays for an hour, as it might be another one's work.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(".partial"):
            continue
        if path.name in UNTIMED:
            found[path.name] = "there"
        elif path.suffix in (".json", ".jsonl"):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            found[path.name] = [_timeless(json.loads(line)) for line in lines]
        elif path.suffix == ".safetensors":  # a checkpoint's header tells seconds
            found[path.name] = {k: fingerprint({k: t}) for k, t in load_file(path).items()}
        else:
            found[path.name] = path.read_bytes()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMES}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def _broken(folder: Path) -> str | None:
    """The first file that is not whole; what was being written lies under a name of its own."""
    for path in sorted(folder.iterdir()):
        if path.name.endswith(".partial"):
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".safetensors":
                load_file(path)
        except (ValueError, SafetensorError) as error:
            return f"{path.name} is not whole ({error})"
    return None


def main() -> None:
    """Kill each command as often as the first argument says, from the seed of the second."""
    arguments = sys.argv[1:]
    kills, seed = (int(word) for word in [*arguments[:2], *["20", "0"][len(arguments[:2]) :]])
    faults = 0
    for name in arguments[2:] or COMMANDS:
        with tempfile.TemporaryDirectory() as folder:
            found = trials(name, kills, seed, Path(folder))
        outcomes = Counter(trial.fault or "the same as undisturbed" for trial in found)
        found_there = Counter(", ".join(trial.left) or "nothing" for trial in found)
        sys.stdout.write(f"{name}: {len(found)} kills; {dict(outcomes)}\n")
        for left, times in found_there.most_common():
            sys.stdout.write(f"  {times} left {left}\n")
        faults += sum(trial.fault is not None for trial in found)
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
