"""--precision: the number format that a network is measured in."""

from __future__ import annotations

import json

from tests.cli.conftest import Run

WORDS = ["--data", "digits", "--threshold", "learned", "--correction", "none"]
QCFS = ["sweep", "zoo:digits-qcfs8", *WORDS, "--neuron", "nearest", "--steps", "8"]


def test_in_float64_a_qcfs_network_converts_without_any_loss(run: Run) -> None:
    code, out, err = run(*QCFS, "--precision", "float64", "--json")
    assert code == 0, err
    found = json.loads(out)
    (row,) = found["studies"][0]["sweep"]["rows"]
    assert (row["agreement"], row["samples"]) == (1.0, 450)
    assert found["configuration"]["precision"] == "float64"


def test_energy_is_counted_in_float64_too(run: Run) -> None:
    words = ["energy", "zoo:digits-qcfs8", *WORDS, "--neuron", "nearest", "--limit", "20"]
    code, out, err = run(*words, "--precision", "float64", "--json")
    assert code == 0, err
    assert json.loads(out)["configuration"]["precision"] == "float64"


def test_an_unknown_precision_is_refused(run: Run) -> None:
    code, _, err = run(*QCFS, "--precision", "float16")
    assert code == 2
    assert "give float32, bf16, int8 or float64" in err
