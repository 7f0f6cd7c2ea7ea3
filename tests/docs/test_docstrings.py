"""The examples in docstrings give what is written beneath them."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw

PACKAGE = Path(sw.__file__).parent


def _with_examples() -> list[str]:
    """The modules of the package whose text holds an example."""
    files = sorted(PACKAGE.rglob("*.py"))
    inside = (file.relative_to(PACKAGE.parent).with_suffix("") for file in files if _shows(file))
    return [".".join(path.parts).removesuffix(".__init__") for path in inside]


def _shows(file: Path) -> bool:
    return ">>> " in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", _with_examples())
def test_examples_give_what_is_written(name: str) -> None:
    module = importlib.import_module(name)
    known: dict[str, Any] = {"torch": torch, "sw": sw, "Path": Path, **vars(module)}
    found = doctest.DocTestFinder(exclude_empty=True).find(module, name, globs=known)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    told: list[str] = []
    for test in found:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            runner.run(test, out=told.append)
    assert not runner.failures, "".join(told)
    assert any(test.examples for test in found)
