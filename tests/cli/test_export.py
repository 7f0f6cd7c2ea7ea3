"""`spikewright export`: a saved network in another tool's format, or a refusal that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.export import targets
from spikewright.export.targets import TARGETS

from .conftest import Run

nir = pytest.importorskip("nir", reason="needs the extra 'nir'")
pytest.importorskip("sklearn", reason="needs the extra 'digits'")

ZOO = ["zoo:digits-qcfs8", "--data", "digits", "--calibration-samples", "12"]


@pytest.fixture
def saved(run: Run, tmp_path: Path) -> Path:
    code, _, err = run(
        "convert", *ZOO, "--neuron", "if", "--steps", "8,4", "--output", str(tmp_path / "run")
    )
    assert code == 0, err
    return tmp_path / "run" / "network.safetensors"


def test_a_saved_network_becomes_a_nir_graph(run: Run, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "digits.nir"
    words = ["export", str(saved), "--to", "nir", "--output", str(path)]
    code, out, err = run(*words)
    assert code == 0, err
    assert "NIR graph at T = 8" in out
    assert "the logits are the mean over the steps" in out
    assert "T = 8 was not" not in out
    assert nir.read(path).metadata["steps"] == 8  # the first that it was converted for
    code, out, err = run(*words, "--steps", "5")
    assert code == 0, err
    assert "T = 5 was not converted for" in out
    assert nir.read(path).metadata["steps"] == 5


def test_what_nir_cannot_say_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run("convert", *ZOO, "--steps", "8", "--output", str(tmp_path))
    assert code == 0, err
    path = tmp_path / "digits.nir"
    saved = str(tmp_path / "network.safetensors")
    code, _, err = run("export", saved, "--to", "nir", "--output", str(path))
    assert code == 3
    assert "3 operations of this network cannot be exported to NIR" in err
    assert "--neuron if" in err
    assert not path.exists()


def test_what_onnx_cannot_hold_is_refused_alike(run: Run, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    code, _, err = run("export", str(saved), "--to", "onnx", "--output", str(path))
    assert code == 3
    assert "ONNX cannot hold this network" in err
    assert not path.exists()


def test_a_new_format_is_one_file_and_one_line(
    run: Run, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_format.py").write_text(
        "def export_toy(network, path, steps, sha256):\n"
        "    path.write_text(f'{len(network.sites)} {steps}')\n"
        "    return f'{path}: written'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(targets.TARGETS, "toy", "toy_format:export_toy")
    path = tmp_path / "network.toy"
    code, out, err = run("export", str(saved), "--to", "toy", "--output", str(path))
    assert (code, out.splitlines()[0]) == (0, f"{path}: written"), err
    assert path.read_text() == "3 8"


def test_wrong_usage(run: Run, saved: Path, tmp_path: Path) -> None:
    code, _, err = run("export", str(saved), "--to", "hdl", "--output", str(tmp_path / "x"))
    assert code == 2
    assert f"no such format; there are {', '.join(TARGETS)}" in err
    code, _, err = run("export", str(tmp_path), "--to", "nir", "--output", str(tmp_path / "x"))
    assert code == 2
    code, _, err = run("export", str(saved), "--to", "nir", "--output", str(tmp_path / "no" / "x"))
    assert code == 2
    assert "cannot write" in err
