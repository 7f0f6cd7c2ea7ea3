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
