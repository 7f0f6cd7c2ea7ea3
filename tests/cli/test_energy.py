from __future__ import annotations

import csv
import json
from pathlib import Path

from .conftest import DIGITS, SMALL, Run


def test_energy_writes_files_that_agree(run: Run, tmp_path: Path) -> None:
    words = [*SMALL, "--neuron", "if,nearest:binary", "--output", str(tmp_path), "--json"]
    code, out, err = run("energy", DIGITS, *words)
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "operations.csv",
        "results.json",
        "timing.json",
    ]
    found = json.loads(out)
    assert found == json.loads((tmp_path / "results.json").read_text())
    assert found["configuration"] == json.loads((tmp_path / "config.json").read_text())
    told = [(one["network"], one["steps"]) for one in found["operations"]]
    assert told == [("IF", 1), ("IF", 2), ("nearest, binary", 1), ("nearest, binary", 2)]
    lines = list(csv.DictReader((tmp_path / "operations.csv").read_text().splitlines()))
    totals = [float(line["snn_nj"]) for line in lines if line["site"] == "total"]
    assert totals == [one["energy"]["snn_nj"] for one in found["operations"]]


def test_energy_prints_layers_and_a_comparison(run: Run) -> None:
    code, out, err = run("energy", DIGITS, *SMALL, "--neuron", "nearest")
    assert code == 0, err
    for told in ("act1", "total", "Horowitz, ISSCC 2014, 45 nm", "SNN+memory nJ"):
        assert told in out


def test_seeds_are_refused(run: Run) -> None:
    code, _, err = run("energy", DIGITS, *SMALL, "--seeds", "2")
    assert code == 2
    assert "--seeds has no effect on energy" in err


def test_prices_of_functions_are_asked_for_and_taken(run: Run) -> None:
    """A network with attention and one with a gate of channels; both multiply signals."""
    few = ["--data", "digits", "--limit", "10", "--calibration-samples", "12", "--steps", "3"]
    for factory, prices in (("transformer", "gelu=5,softmax=20,layer_norm=30"),
                            ("gated", "sigmoid=5")):  # fmt: skip
        words = [f"tests.cli.products:{factory}", *few, "--neuron", "nearest:binary"]
        code, _, err = run("energy", *words)
        assert code == 4
        assert "has no price" in err
        assert "--function-pj NAME=PJ,..." in err
        code, out, err = run("energy", *words, "--function-pj", prices, "--json")
        assert code == 0, err
        (counted,) = json.loads(out)["operations"]
        assert sum(row["snn"]["held_additions"] for row in counted["rows"]) > 0
        assert all(row["ann"]["held_additions"] == 0 for row in counted["rows"])


def test_prices_that_are_none_are_refused(run: Run) -> None:
    for prices, reason in (("silu", "give NAME=PJ"), ("silu=x", "'x' is not a number"),
                           ("silu=-1", "must be finite and at least 0")):  # fmt: skip
        code, _, err = run("energy", DIGITS, *SMALL, "--function-pj", prices)
        assert code == 2
        assert reason in err


def test_prices_that_nothing_asks_for_are_told(run: Run) -> None:
    words = ["--data", "digits", "--limit", "10", "--calibration-samples", "12", "--steps", "3"]
    words += ["--neuron", "nearest:binary", "--function-pj", "sigmoid=5,slu=1"]
    code, _, err = run("energy", "tests.cli.products:gated", *words)
    assert code == 0, err
    assert "--function-pj: no use for slu; functions here: sigmoid" in err
    code, _, err = run("energy", DIGITS, *SMALL, "--function-pj", "slu=5")
    assert code == 0, err
    assert "--function-pj: no use for slu; functions here: none" in err
