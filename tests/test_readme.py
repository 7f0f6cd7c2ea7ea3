"""The README's promises: its Python runs as it stands, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import torch

import spikewright as sw

README = Path(__file__).parents[1] / "README.md"


def test_its_python_runs_as_one_session() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    torch.manual_seed(0)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert isinstance(names["snn"], sw.SpikingNetwork)
    assert str(names["table"]).count("\n") >= 3


def test_the_files_it_names_exist() -> None:
    text = README.read_text(encoding="utf-8")
    named = re.findall(r"\]\(([^)#:]+)\)", text)
    named += re.findall(r"^    (spikewright/\S+)", text, re.MULTILINE)
    assert len(named) >= 5
    missing = [name for name in named if not (README.parent / name).exists()]
    assert not missing


def test_its_two_commands_are_targets() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
