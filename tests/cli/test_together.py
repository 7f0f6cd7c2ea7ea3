"""`spikewright sweep` by two processes: the files of one, to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processes import together

from .conftest import Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

SWEEP = (
    *("sweep", "zoo:digits-qcfs8", "--data", "digits", "--json"),
    *("--neuron", "tpp,if", "--steps", "2,4", "--seeds", "2", "--limit", "45"),
    *("--batch-size", "10", "--calibration-samples", "25"),
)
REPEATED = ("config.json", "results.csv", "results.json")


def test_two_processes_write_the_files_of_one(run: Run, tmp_path: Path) -> None:
    for package, extra in (("accelerate", "train"), ("plotly", "report")):
        pytest.importorskip(package, reason=f"needs the extra '{extra}'")
    code, alone, err = run(*SWEEP, "--output", str(tmp_path / "one"))
    assert code == 0, err
    words = ("-m", "spikewright", *SWEEP, "--output", str(tmp_path / "two"))
    first, second = together(*words)
    assert second == ""
    assert first == alone
    assert json.loads(first)["studies"][0]["sweep"]["record"]["samples"] == 45
    for name in REPEATED:
        one, two = ((tmp_path / which / name).read_bytes() for which in ("one", "two"))
        assert one == two, name
    assert not (tmp_path / "two" / "cells").exists()


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
