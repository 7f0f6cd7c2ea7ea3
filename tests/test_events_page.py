"""docs/events.md: its commands and its Python run, on a tiny simulated set."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import spikewright as sw
from spikewright.cli.app import app

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

PAGE = Path(__file__).parents[1] / "docs" / "events.md"
SMALLER = {
    "cifar10:DIR": "digits",
    "--per-class 60": "--per-class 3",
    "--epochs 60": "--epochs 1",
    "--batch-size 32": "--batch-size 8",
    "if,shuffled,tpp,unbiased,nearest": "if,tpp,nearest",
}


def commands(text: str) -> list[list[str]]:
    joined = text.replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^    spikewright (.*)$", joined, re.M)]


def test_a_newcomer_can_follow_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for there, here in SMALLER.items():
        assert there in text
        text = text.replace(there, here)
    monkeypatch.chdir(tmp_path)
    told = []
    for words in commands(text):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        told.append(result.stdout)
    assert len(told) == 3
    assert all("SIMULATED" in out or "simulated" in out for out in told)
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(block.replace("print(", "str("), names)
    table = names["table"]
    assert isinstance(table, sw.Sweep)
    assert table.steps == (4, 8, 10)
    # QCFS, T = L: the neuron rounds as the activation does, and the frames have the image's mean
    assert table.row("nearest", 8).agreement == 1.0
