"""Measuring commands by two processes: the files of one, to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processes import together

from .conftest import Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

SHARED = (*("--data", "digits", "--limit", "45", "--batch-size", "10", "--json", "--output"),)
CONVERTED = ("--neuron", "tpp,if", "--steps", "2,4", "--calibration-samples", "13")
REPEATED = ("config.json", "results.csv", "operations.csv", "results.json")
IN_TURN = """
import sys
import torch
from spikewright.cli.app import app
from spikewright.processes import Processes
Processes.leave = lambda processes: None  # the next command goes on with the same processes
for line in sys.argv[1:]:
    try:
        app(line.split())
    except SystemExit as ended:
        if ended.code:
            raise
torch.distributed.destroy_process_group()
"""


def commands(saved: Path, folder: Path) -> dict[str, tuple[str, ...]]:
    """The commands that several processes carry out together, each with a folder of its own."""
    model = "zoo:digits-qcfs8"
    return {
        "sweep": ("sweep", model, *CONVERTED, "--seeds", "2", *SHARED, str(folder / "sweep")),
        "energy": ("energy", model, *CONVERTED, *SHARED, str(folder / "energy")),
        "evaluate": ("evaluate", str(saved), "--seeds", "2", *SHARED, str(folder / "evaluate")),
    }


def test_two_processes_write_the_files_of_one(run: Run, tmp_path: Path) -> None:
    for package, extra in (("accelerate", "train"), ("plotly", "report")):
        pytest.importorskip(package, reason=f"needs the extra '{extra}'")
    made = tmp_path / "made"
    words = ("--data", "digits", "--neuron", "tpp", "--steps", "2", "--calibration-samples", "13")
    assert run("convert", "zoo:digits-qcfs8", *words, "--output", str(made))[0] == 0
    saved = made / "network.safetensors"
    alone = ""
    for words in commands(saved, tmp_path / "one").values():
        code, out, err = run(*words)
        assert code == 0, err
        alone += out
    two = commands(saved, tmp_path / "two")
    first, second = together("-c", IN_TURN, *map(" ".join, two.values()))
    assert second == ""
    assert first == alone
    for name in two:
        one, other = (tmp_path / which / name for which in ("one", "two"))
        for file in REPEATED:
            if (one / file).exists():
                assert (one / file).read_bytes() == (other / file).read_bytes(), (name, file)
        assert json.loads((one / "results.json").read_text())
        assert not (other / "cells").exists()


def test_what_is_not_shared_is_refused_to_several(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = run("check", "zoo:digits-qcfs8")
    assert code == 2
    assert "'check' is the work of one process" in err


def test_one_process_of_several_asked_for_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    words = ("--data", "digits", "--limit", "4", "--calibration-samples", "4")
    code, _, err = run("sweep", "zoo:digits-qcfs8", *words)
    assert code == 2
    assert "asked for several processes and started one" in err
