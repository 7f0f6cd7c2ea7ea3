"""A run folder says how to repeat it, and whether the numbers came back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from spikewright.cli.app import app
from spikewright.cli.record import words_of

from .conftest import DIGITS, Run

WORDS = ["--data", "digits", "--calibration-samples", "12"]
MEASURED = [*WORDS, "--limit", "20", "--batch-size", "8"]
COMMANDS = {
    "sweep": ["--steps", "1,2", "--neuron", "if,tpp", "--seeds", "2", "--seed", "7", *MEASURED],
    "misalignment": ["--steps", "2", "--orders", "late", "--no-layerwise", *MEASURED],
    "energy": ["--steps", "2", "--threshold", "percentile:99", *MEASURED],
    "convert": ["--steps", "2,4", "--method", "rts", *WORDS],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_its_numbers_again(run: Run, tmp_path: Path, command: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(command, DIGITS, *COMMANDS[command], "--output", str(first))[0] == 0
    code, out, err = run("rerun", str(first), "--output", str(second))
    assert code == 0, err
    assert out.startswith("the same: all ")
    files = sorted(path.name for path in first.iterdir())
    assert sorted(path.name for path in second.iterdir()) == files
    for name in {"config.json", "results.json", "summary.txt"} & set(files):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("before", [[], ["--debug"]])
def test_a_command_given_with_a_double_dash_is_repeated(
    run: Run, tmp_path: Path, before: list[str]
) -> None:
    words = ["energy", *COMMANDS["energy"], "--json", "--output", str(tmp_path / "run"), "--"]
    code, _, err = run(*before, *words, DIGITS)
    assert code == 0, err
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["arguments"]
    assert kept == [*before, "energy", *COMMANDS["energy"], "--", DIGITS]
    code, out, err = run("rerun", str(tmp_path / "run"), "--output", str(tmp_path / "again"))
    assert code == 0, err
    assert out.startswith("the same: all ")
    assert (tmp_path / "again" / "results.json").is_file()


def test_what_stands_behind_a_double_dash_is_recorded_as_it_is() -> None:
    context = typer.Context(typer.main.get_command(app))
    context.obj = ("report", "--json", "--output", "x", "--share=0/2", "--", "--json", "--output")
    assert words_of(context) == ["report", "--", "--json", "--output"]


@pytest.fixture(scope="module")
def finished(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert run("energy", DIGITS, *COMMANDS["energy"], "--output", str(folder))[0] == 0
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A finished run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def change(path: Path, how: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    how(document)
    path.write_text(json.dumps(document))


def test_a_number_that_differs_is_named(run: Run, folder: Path) -> None:
    change(folder / "results.json", lambda d: d["operations"][0].update(latency=77))
    code, out, _ = run("rerun", str(folder))
    assert code == 6
    assert "different: 1 of " in out
    assert "operations/0/latency: 77, now 2" in out


def test_what_changed_besides_is_named(run: Run, folder: Path) -> None:
    change(folder / "config.json", lambda d: d["environment"]["versions"].update(torch="1.0"))
    code, out, _ = run("rerun", str(folder))
    assert code == 0
    assert f"changed: environment/versions/torch: 1.0, now {version('torch')}" in out
    assert "the same: all" in out


def test_another_model_is_told_by_its_hash(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = (
        "from torch import nn, no_grad\n"
        "def flat():\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))\n"
        "    with no_grad():\n"
        "        net[1].weight *= SCALE\n"
        "    return net\n"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "changing_model.py").write_text("SCALE = 1\n" + module)
    code, _, err = run("convert", "changing_model:flat", *WORDS, "--output", "run")
    assert code == 0, err
    monkeypatch.setattr("changing_model.SCALE", 2)
    code, out, _ = run("rerun", "run")
    assert code == 6
    assert "changed: inputs/model: " in out
    assert "inputs/calibration" not in out


def test_as_many_threads_as_then(run: Run, folder: Path) -> None:
    seen: list[int] = []
    change(folder / "config.json", lambda d: d["environment"].update(threads=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "spikewright.cli.commands.energy.open_source",
            lambda *_, **__: (seen.append(torch.get_num_threads()), {}["stop"]),
        )
        assert run("rerun", str(folder))[0] == 1
    assert seen == [2]
    assert torch.get_num_threads() == 1


def test_the_error_of_the_command_is_that_of_the_rerun(run: Run, folder: Path) -> None:
    change(folder / "config.json", lambda d: d["arguments"].extend(["--limit", "100000"]))
    code, out, err = run("rerun", str(folder))
    assert (code, out) == (2, "")
    assert "holds 450 images" in err


def test_an_option_that_this_version_does_not_know(run: Run, folder: Path) -> None:
    change(folder / "config.json", lambda d: d["arguments"].append("--colour=red"))
    code, _, err = run("rerun", str(folder))
    assert code == 2
    assert "--colour" in err


OF_TRAINING = '{"command": "train", "arguments": [], "environment": {}, "inputs": {}}'


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "holds no readable config.json"),
        ({"config.json": "[" * 50_000}, "holds no readable config.json"),
        ({"config.json": "nonsense"}, "holds no readable config.json"),
        ({"config.json": '{"command": ["sweep"]}'}, "it.command: expected str, got array"),
        ({"config.json": "[1]"}, "it: expected object, got array"),
        ({"config.json": '{"command": "sweep"}'}, "it: object missing required field arguments"),
        ({"config.json": OF_TRAINING}, "not of a command that can be repeated"),
        ({"cells/a.json": "{}"}, "is unfinished: start its command again"),
    ],
)
def test_folders_that_are_no_finished_run(
    run: Run, tmp_path: Path, files: dict[str, str], told: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    code, out, err = run("rerun", str(tmp_path))
    assert (code, out) == (2, "")
    assert told in err


def test_a_run_whose_results_are_gone_is_told_before_the_work(run: Run, folder: Path) -> None:
    (folder / "results.json").write_text("{")
    code, _, err = run("rerun", str(folder))
    assert code == 2
    assert "results.json' cannot be read" in err


def test_a_run_is_not_written_over(run: Run, folder: Path) -> None:
    code, _, err = run("rerun", str(folder), "--output", str(folder))
    assert code == 2
    assert "is the run itself" in err


def test_a_link_in_a_circle_is_refused(run: Run, folder: Path) -> None:
    circle = folder / "circle"
    circle.symlink_to("circle")
    code, _, err = run("rerun", str(folder), "--output", str(circle))
    assert code == 2
    assert "cannot write there" in err
