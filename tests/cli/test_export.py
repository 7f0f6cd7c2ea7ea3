"""`spikewright export`: a saved network in another tool's format, or a refusal that says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from spikewright.artefact.hardware import read_bundle

from spikewright.export.targets import TARGETS

from .conftest import Run

nir = pytest.importorskip("nir", reason="needs the extra 'nir'")
pytest.importorskip("sklearn", reason="needs the extra 'digits'")

ZOO = ["zoo:digits-qcfs8", "--data", "digits", "--calibration-samples", "16"]


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


def test_wrong_usage(run: Run, saved: Path, tmp_path: Path) -> None:
    code, _, err = run("export", str(saved), "--to", "hdl", "--output", str(tmp_path / "x"))
    assert code == 2
    assert f"no such format; there are {', '.join(TARGETS)}" in err
    code, _, err = run("export", str(tmp_path), "--to", "nir", "--output", str(tmp_path / "x"))
    assert code == 2
    code, _, err = run("export", str(saved), "--to", "nir", "--output", str(tmp_path / "no" / "x"))
    assert code == 2
    assert "cannot write" in err


@pytest.fixture
def waiting(run: Run, tmp_path: Path) -> str:
    """A saved network of two-phase neurons."""
    code, _, err = run("convert", *ZOO, "--steps", "4", "--output", str(tmp_path / "two"))
    assert code == 0, err
    return str(tmp_path / "two" / "network.safetensors")


def test_a_bundle_says_what_accuracy_it_costs(run: Run, waiting: str, tmp_path: Path) -> None:
    words = ["export", waiting, "--to", "hardware", "--output", str(tmp_path / "bundle")]
    code, out, err = run(*words, "--data", "digits", "--limit", "30")
    assert code == 0, err
    document = read_bundle(tmp_path / "bundle").document
    found = document["accuracy"]
    assert found["samples"] == 30
    assert f"{found['network_right']} right in floating point" in out
    assert document["notes"]["preparation"] == {
        "mean": [0.0],
        "std": [1.0],
        "size": None,
        "resize": None,
    }
    assert document["notes"]["classes"] == [str(digit) for digit in range(10)]
    assert document["notes"]["measured on"] == "30 images of the test split of digits"
    code, out, err = run(*words)
    assert code == 0, err
    assert "accuracy" not in read_bundle(tmp_path / "bundle").document
    assert "made-up samples" in out


def test_the_input_of_a_bundle_can_be_chosen(run: Run, waiting: str, tmp_path: Path) -> None:
    words = ["export", waiting, "--to", "hardware", "--output", str(tmp_path / "bundle")]
    code, _, err = run(*words, "--input-bits", "8", "--input-fraction", "5")
    assert code == 0, err
    entry = read_bundle(tmp_path / "bundle").document["input"]
    assert (entry["dtype"], entry["scale"]) == ("int8", 2**-5)
    code, _, err = run(*words, "--input-bits", "9")
    assert code == 2
    assert "bits must be 8 or 16, got 9" in err
    small = ["--input-bits", "8", "--input-fraction", "7", "--data", "digits", "--limit", "3"]
    code, _, err = run(*words, *small)
    assert code == 2
    assert "--input-bits, --input-fraction" in err  # white is 1, beyond 127 / 128
    assert read_bundle(tmp_path / "bundle").document["input"]["scale"] == 2**-5  # as it was


@pytest.mark.parametrize(
    "option", [("--input-bits", "8"), ("--input-fraction", "3"), ("--data", "digits")]
)
def test_options_of_the_bundle_go_with_it_alone(
    run: Run, waiting: str, tmp_path: Path, option: tuple[str, str]
) -> None:
    words = ["export", waiting, "--to", "onnx", "--output", str(tmp_path / "x"), *option]
    code, _, err = run(*words)
    assert code == 2
    assert f"{option[0]} goes with --to hardware" in err


def test_a_limit_needs_data(run: Run, waiting: str, tmp_path: Path) -> None:
    words = ["export", waiting, "--to", "hardware", "--output", str(tmp_path / "x")]
    code, _, err = run(*words, "--limit", "3")
    assert code == 2
    assert "name the data too" in err
