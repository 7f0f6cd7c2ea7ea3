"""The rehearsal itself, at the smallest size that its networks take."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from paper.dry_run import dry_run, settle, wait_for_all
from spikewright.errors import ExperimentError
from tests.cli.conftest import Run
from tests.processes import Forked

HANGING = """
import sys, time
from paper.app import app
from paper.subject import Subject
measure, done = Subject.measure, []
def measure_two(*given):
    while len(done) == 2:
        time.sleep(60)
    done.append(measure(*given))
    return done[-1]
Subject.measure = measure_two
app(sys.argv[1:])
"""


def in_process(run: Run, real: int) -> SimpleNamespace:
    """What stands in for `subprocess`: the first call and those after `real` more run here."""
    calls = count()

    def started(words: list[str], env: dict[str, str]) -> Any:
        words = words[3:]  # without `python -m paper`
        if 0 < next(calls) <= real:
            return Forked(["-c", HANGING, *words], env)
        code, _, err = run(*words)
        assert code == 0, err
        return Forked(["-c", ""])

    return SimpleNamespace(Popen=started)


def test_two_killed_processes_leave_the_table_of_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two that are killed are real, and wait for it with two cells done each."""
    pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    monkeypatch.setattr("paper.dry_run.subprocess", in_process(run, real=2))
    told: list[str] = []
    table = dry_run(tmp_path, ("squeezenet1_1",), 1, 32, told.append)
    assert "## images by folder, squeezenet1_1, ReLU" in table
    assert "| RTS, TPP | 3 | 2 of 5 | " in table
    cells = 1 + 2 + 4 + 2
    assert told[2].startswith(f"one process finished {cells} cells in ")
    assert re.fullmatch(rf"two processes killed after \d+ s, 4 of {cells} cells", told[3])
    with pytest.raises(ExperimentError, match="is not empty"):
        dry_run(tmp_path, ("squeezenet1_1",), 1, 32, told.append)


def test_a_model_that_does_not_take_such_pictures_leaves_no_folder(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    with pytest.raises(ExperimentError, match="alexnet does not take pictures of 32 x 32"):
        dry_run(tmp_path / "new", ("alexnet",), 1, 32, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_settling_gives_batch_norm_the_statistics_of_its_input() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval()
    batches = [torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    settle(model, batches)
    assert not any(part.training for part in model.modules())
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        means = [model[0](images).mean((0, 2, 3)) for images in batches]
    assert torch.allclose(norm.running_mean, torch.stack(means).mean(0), atol=1e-6)


def _processes(*programs: str) -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen([sys.executable, "-c", program]) for program in programs]


SLEEP = "import time; time.sleep(60)"


def test_when_one_process_fails_the_others_are_killed() -> None:
    sleeping, failing = _processes(SLEEP, "raise SystemExit(3)")
    with pytest.raises(ExperimentError, match="a process ended with exit code 3"):
        wait_for_all([sleeping, failing])
    assert sleeping.returncode == -signal.SIGKILL


def test_an_interrupted_rehearsal_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    (sleeping,) = _processes(SLEEP)
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        wait_for_all([sleeping])
    assert sleeping.returncode == -signal.SIGKILL


def test_processes_that_end_well_are_waited_for(tmp_path: Path) -> None:
    write = f"import time; time.sleep(0.2); open({str(tmp_path / 'done')!r}, 'w')"
    wait_for_all(_processes("", write))
    assert (tmp_path / "done").exists()
