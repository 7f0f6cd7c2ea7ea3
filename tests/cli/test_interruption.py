"""Ctrl-C at any moment: the same command goes on, and ends with the same files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import spikewright.cli.commands.energy

from .conftest import DIGITS, Run

WORDS = ["--data", "digits", "--limit", "40", "--batch-size", "16", "--calibration-samples", "12"]
WORDS += ["--threshold", "maximum"]
SWEEP = ["sweep", DIGITS, *WORDS, "--steps", "1,2", "--neuron", "if,tpp", "--seeds", "2"]
MISALIGNMENT = ["misalignment", DIGITS, *WORDS, "--steps", "2", "--orders", "late"]
ENERGY = ["energy", DIGITS, *WORDS, "--steps", "2,4", "--neuron", "if,nearest"]

Interrupt = Callable[[str, int], None]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Make the n-th call of a function a Ctrl-C."""

    def at(target: str, number: int) -> None:
        holder, name = target.rsplit(".", 1)
        original = getattr(import_module(holder), name)
        calls = 0

        def counted(*given: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls == number:
                raise KeyboardInterrupt
            return original(*given, **named)

        monkeypatch.setattr(target, counted)

    return at


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but those that tell the time."""
    untimed = {"report.html", "timing.json"}
    files = (p for p in folder.rglob("*") if p.is_file() and p.name not in untimed)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


Whole = Callable[[list[str]], dict[str, bytes]]


@pytest.fixture(scope="module")
def whole(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What a command writes that nothing interrupts; each is run once."""
    found: dict[str, dict[str, bytes]] = {}

    def of(words: list[str]) -> dict[str, bytes]:
        command = words[0]
        if command not in found:
            folder = tmp_path_factory.mktemp(command)
            assert run(*words, "--output", str(folder))[0] == 0
            found[command] = contents(folder)
        return found[command]

    return of


PLACES = [
    (SWEEP, "spikewright.measure.answers.predictions", 1, False),
    (SWEEP, "spikewright.measure.answers.predictions", 9, True),
    (SWEEP, "spikewright.cli.commands.sweep.inside_study", 1, True),
    (SWEEP, "spikewright.cli.output.write_whole", 3, True),
    (MISALIGNMENT, "spikewright.measure.inside.watch_spikes", 1, True),
    (MISALIGNMENT, "spikewright.measure.inside.decompose", 2, True),
    (ENERGY, "spikewright.cli.commands.energy.operations", 1, False),
    (ENERGY, "spikewright.cli.commands.energy.operations", 4, True),
]


@pytest.mark.parametrize(
    ("words", "where", "number", "something"), PLACES, ids=lambda v: str(v)[-18:]
)
def test_the_same_command_goes_on(
    run: Run,
    tmp_path: Path,
    whole: Whole,
    interrupt: Interrupt,
    words: list[str],
    where: str,
    number: int,
    something: bool,
) -> None:
    expected, stopped = whole(words), tmp_path / "stopped"
    interrupt(where, number)
    code, out, err = run(*words, "--output", str(stopped))
    assert (code, out) == (130, "")
    assert "interrupted: " in err
    assert "results.json" not in contents(stopped)
    code, _, err = run(*words, "--output", str(stopped))
    assert code == 0, err
    assert ("going on with the unfinished work" in err) == something
    assert contents(stopped) == expected


def test_what_was_finished_is_not_done_again(
    run: Run, tmp_path: Path, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*ENERGY, "--output", str(tmp_path)]
    interrupt("spikewright.cli.commands.energy.operations", 4)
    code, _, err = run(*words)
    assert code == 130
    assert "the same command goes on from there" in " ".join(err.split())
    assert len(list((tmp_path / "cells").glob("*.json"))) == 3 + 1  # and their configuration
    again: list[int] = []
    original = spikewright.cli.commands.energy.operations

    def counted(network: object, data: object, steps: int, **named: object) -> object:
        again.append(steps)
        return original(network, data, steps, **named)

    monkeypatch.setattr("spikewright.cli.commands.energy.operations", counted)
    code, _, err = run(*words)
    assert code == 0
    assert "going on with the unfinished work" in err
    assert again == [4]


def test_unfinished_work_of_another_command_is_not_lost(
    run: Run, tmp_path: Path, interrupt: Interrupt
) -> None:
    interrupt("spikewright.cli.commands.energy.operations", 4)
    run(*ENERGY, "--output", str(tmp_path))
    before = contents(tmp_path)
    code, out, err = run(*ENERGY, "--seed", "3", "--output", str(tmp_path))
    assert (code, out) == (2, "")
    assert "seed: recorded 0, asked for 3" in err
    assert contents(tmp_path) == before


def test_finished_results_are_replaced_when_the_new_ones_are_there(
    run: Run, tmp_path: Path, interrupt: Interrupt
) -> None:
    run(*ENERGY, "--output", str(tmp_path))
    before = contents(tmp_path)
    interrupt("spikewright.cli.commands.energy.operations", 2)
    assert run(*ENERGY, "--seed", "3", "--output", str(tmp_path))[0] == 130
    kept_now = contents(tmp_path)
    assert {name: kept_now[name] for name in before} == before
    assert all(name.startswith("cells/") for name in kept_now.keys() - before.keys())
    assert run(*ENERGY, "--seed", "3", "--output", str(tmp_path))[0] == 0
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 3


def test_leftovers_of_a_killed_process_are_removed(run: Run, tmp_path: Path) -> None:
    left = tmp_path / ".results.json.0123456789abcdef0123456789abcdef.partial"
    left.write_text("half a fi")
    os.utime(left, (0, 0))
    assert run(*ENERGY, "--output", str(tmp_path))[0] == 0
    assert not list(tmp_path.glob(".*"))


def test_the_results_do_not_tell_the_time(run: Run, tmp_path: Path) -> None:
    run(*SWEEP, "--output", str(tmp_path))
    found = (tmp_path / "results.json").read_text()
    assert '"seconds"' not in found
    assert '"started"' not in found
    timing = json.loads((tmp_path / "timing.json").read_text())
    timed = timing["studies"][0]["sweep"]
    assert timed["record"]["seconds"] > 0
    assert [(row["network"], row["steps"]) for row in timed["rows"]] == [
        ("IF", 1),
        ("IF", 2),
        ("TPP", 1),
        ("TPP", 2),
    ]


@pytest.mark.parametrize("words", [SWEEP, MISALIGNMENT, ENERGY], ids=lambda words: words[0])
def test_jobs_of_a_cluster_share_the_cells(
    run: Run, tmp_path: Path, whole: Whole, words: list[str]
) -> None:
    shared = tmp_path / "shared"
    for part in range(2):
        code, out, err = run(*words, "--output", str(shared), "--share", f"{part}/2")
        assert code == 0, err
        if part == 0:
            assert out == ""
            assert "this share is done; " in err
            assert "results.json" not in contents(shared)
    assert contents(shared) == whole(words)


def test_a_share_needs_a_folder_and_a_number(run: Run, tmp_path: Path) -> None:
    code, _, err = run(*SWEEP, "--share", "0/2")
    assert (code, "--share needs --output" in err) == (2, True)
    code, _, err = run(*SWEEP, "--share", "2/2", "--output", str(tmp_path))
    assert (code, "--share 2/2: give R/N" in err) == (2, True)
