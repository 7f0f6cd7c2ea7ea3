"""docs/events.md: its commands and its Python run, on a tiny simulated set."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import spikewright as sw
from docs_tools.cli_reference import PROGRAMS

from .pages import blocks_of, named_commands, text_of

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

SMALLER = {
    "cifar10:DIR": "digits",
    "--per-class 60": "--per-class 3",
    "--epochs 60": "--epochs 1",
    "--batch-size 32": "--batch-size 8",
    "if,shuffled,tpp,unbiased,nearest": "if,tpp,nearest",
}


def test_a_newcomer_can_follow_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of("docs/events.md")
    for there, here in SMALLER.items():
        assert there in text
        text = text.replace(there, here)
    monkeypatch.chdir(tmp_path)
    outputs = []
    for program, *words in named_commands(text):
        result = CliRunner().invoke(PROGRAMS[program], words)
        assert result.exit_code == 0, result.output
        outputs.append(result.stdout)
    assert len(outputs) == 3
    assert all("SIMULATED" in out or "simulated" in out for out in outputs)
    (block,) = (block for block in blocks_of(text) if block.language == "python")
    names: dict[str, object] = {}
    exec(block.text.replace("print(", "str("), names)
    table = names["table"]
    assert isinstance(table, sw.Sweep)
    assert table.steps == (4, 8, 10)
    # QCFS, T = L: the neuron rounds as the activation does, and the frames have the image's mean
    assert table.row("nearest", 8).agreement == 1.0
