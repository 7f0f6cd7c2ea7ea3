"""Models and metrics of the user's own: what they print, import late, raise and keep besides."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .conftest import SMALL, Run

MODELS = """
import random
import torch
from torch import nn

class Noisy(nn.Sequential):
    def forward(self, x):
        print("answering")
        return super().forward(x)

def noisy():
    print("building the model")
    return Noisy(nn.Flatten(), nn.Linear(64, 10), nn.ReLU())

def late():
    from BLOCKS import model
    return model()

def late_metric(output, labels):
    from BLOCKS import model
    return output.softmax(1)[:, 0]

def empty():
    with torch.device("meta"):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU())

def broken():
    settings = {}
    return nn.Linear(settings["width"], 3)

class Refuses(nn.Module):
    def forward(self, x):
        return {}["no such key"]

class Remembers(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)

    def get_extra_state(self):
        return {"version": 2}

    def set_extra_state(self, state):
        pass

    def forward(self, x):
        return super().forward(x.flatten(1)).relu()

class Draws(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)

    def forward(self, x):
        return super().forward(x.flatten(1)) + random.random()
"""
BLOCKS = """
from torch import nn

def model():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU())
"""
SHAPE = ["--input-shape", "1,8,8"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own, in a current directory that is not on the path."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODELS.replace("BLOCKS", f"{name}_blocks"))
    (tmp_path / f"{name}_blocks.py").write_text(BLOCKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    return name


def line_of(text: str) -> int:
    return MODELS.splitlines().index(text) + 1


def test_json_stands_alone_on_stdout_whatever_a_model_prints(run: Run, module: str) -> None:
    code, out, err = run("check", f"{module}:noisy", *SHAPE, "--json")
    assert code == 0, err
    assert json.loads(out)["converts"]
    assert "building the model" in err
    code, out, err = run("check", f"{module}:noisy", *SHAPE)
    assert out.startswith("building the model\n")


def test_what_a_model_or_a_metric_imports_late_is_found(run: Run, module: str) -> None:
    code, _, err = run("check", f"{module}:late", *SHAPE)
    assert code == 0, err
    words = ["sweep", f"{module}:late", *SMALL, "--neuron", "nearest"]
    sys.modules.pop(f"{module}_blocks")
    code, _, err = run(*words, "--metric", f"{module}:late_metric")
    assert code == 0, err


def test_an_error_names_the_line_of_the_users_code(run: Run, module: str) -> None:
    code, _, err = run("check", f"{module}:broken", *SHAPE)
    assert code == 2
    line = line_of('    return nn.Linear(settings["width"], 3)')
    assert f"KeyError: 'width' (at {Path(f'{module}.py').absolute()}:{line})" in err
    code, _, err = run("sweep", f"{module}:Refuses", *SMALL)
    assert code == 2
    line = line_of('        return {}["no such key"]')
    assert f"(KeyError: 'no such key') (at {Path(f'{module}.py').absolute()}:{line})" in err


def test_a_name_that_is_not_there_says_in_which_file(run: Run, module: str) -> None:
    Path("random.py").write_text("def model(): ...")
    code, _, err = run("check", "random:model")
    assert code == 2
    assert f"module 'random' has no 'model'; it is the file {sys.modules['random'].__file__}" in err


def test_extra_state_is_no_tensor(run: Run, module: str) -> None:
    code, _, err = run("check", f"{module}:Remembers", *SHAPE)
    assert code == 0, err


def test_json_says_why_a_model_cannot_be_captured(run: Run, module: str) -> None:
    code, out, err = run("check", f"{module}:Draws", *SHAPE, "--json")
    assert code == 3
    found = json.loads(out)
    assert not found["converts"]
    assert found["problem"] in err


@pytest.mark.parametrize("command", [["check", "--json", *SHAPE], ["sweep", *SMALL]])
def test_a_model_without_numbers_is_refused_before_it_is_moved(
    run: Run, module: str, command: list[str]
) -> None:
    code, out, err = run(command[0], f"{module}:empty", *command[1:])
    assert code == 3
    assert "2 of the model's weights are on the meta device" in err
    assert "--json" not in command or json.loads(out)["problem"] in err
