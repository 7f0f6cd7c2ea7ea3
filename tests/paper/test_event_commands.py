"""`python -m paper simulate-events`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from paper.event_camera import Simulation
from paper.event_camera.command import simulate_events
from tests.cli.conftest import Run

WORDS = ["simulate-events", "--data", "digits", "--per-class", "1", "--loops", "1"]


def test_it_writes_a_set_and_says_that_it_is_simulated(run: Run, tmp_path: Path) -> None:
    code, out, err = run(*WORDS, "--out", str(tmp_path / "new"))
    assert code == 0, err
    assert out.startswith("SIMULATED: 10 recordings of 10 classes, ")
    assert len(list((tmp_path / "new").glob("*/digits_*.aedat"))) == 10


def test_json_is_the_card(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    code, out, _ = run(*WORDS, "--output", str(folder), "--seed", "3", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((folder / "dataset-card.json").read_text())
    assert json.loads(out)["seed"] == 3


def test_refusals_have_their_exit_codes(run: Run, tmp_path: Path) -> None:
    code, _, err = run(*WORDS, "--out", str(tmp_path / "new"), "--threshold", "0")
    assert (code, "threshold=0.0; give a number from 0.001 on" in err) == (2, True)
    code, _, err = run("simulate-events", "--data", "nothing", "--out", str(tmp_path / "new"))
    assert (code, "unknown data set 'nothing'" in err) == (2, True)
    (tmp_path / "file").touch()
    code, _, err = run(*WORDS, "--out", str(tmp_path))
    assert (code, "is there already" in err) == (4, True)


def test_its_defaults_are_those_of_the_library() -> None:
    default = {n: p.default for n, p in inspect.signature(simulate_events).parameters.items()}
    for name in ("threshold", "mismatch", "loops"):
        assert default[name] == getattr(Simulation(), name)
