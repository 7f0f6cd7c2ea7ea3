"""--metric: answers measured by a function of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import spikewright as sw
from spikewright.artefact import describe
from spikewright.models import digits_cnn

from .conftest import DIGITS, SMALL, Run

METRICS = """
from spikewright.measure import Metric
import torch
from torch import nn

def sure(output, labels):
    return output.softmax(1).gather(1, labels[:, None])[:, 0]

def length(output, labels):
    return output.norm(dim=1)

def mean_of(output, labels):
    return output["out"].mean((1, 2))

lost = Metric(lambda output, labels: 1 - sure(output, labels), "lost", higher_is_better=False)

def broken(output, labels):
    return {}["no such key"]

class Maps(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return {"out": self.last(self.conv(x).relu())[:, 0]}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own, in the current directory, under a name of its own."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(METRICS)
    monkeypatch.chdir(tmp_path)
    return name


def test_sweep_measures_by_a_metric_beside_accuracy(run: Run, module: str) -> None:
    words = ["sweep", DIGITS, *SMALL, "--neuron", "nearest", "--output", "out"]
    code, text, err = run(*words, "--metric", f"{module}:lost")
    assert code == 0, err
    assert "lost" in text
    assert "nearest beside the ANN at T = 2: relative error" in text
    found = json.loads(Path("out/results.json").read_text())["studies"][0]["sweep"]
    assert (found["metric"], found["higher_is_better"]) == ("lost", False)
    for row in found["rows"]:
        assert row["metric_low"] < row["metric"] < row["metric_high"]
        assert 0 <= row["accuracy"] <= 1
    page = Path("out/report.html").read_text()
    assert "Lost on 20 images" in page
    assert "Lost against time" in page
    assert "lower is better" in page
    assert json.loads(Path("out/config.json").read_text())["metric"] == f"{module}:lost"
    code, text, err = run("report", "out")
    assert code == 0, err
    assert Path("out/report.html").read_text() == page


def test_networks_without_classes_are_measured(run: Run, module: str) -> None:
    words = [f"{module}:Maps", *SMALL, "--neuron", "nearest"]
    metric = ["--metric", f"{module}:mean_of"]
    code, _, err = run("sweep", *words, *metric, "--output", "out")
    assert code == 0, err
    (row, _) = json.loads(Path("out/results.json").read_text())["studies"][0]["sweep"]["rows"]
    assert row["accuracy"] is None
    assert row["cosine"] > 0.5
    page = Path("out/report.html").read_text()
    assert "mean_of" in page
    assert "accuracy %" not in page.partition("Every measurement")[2].partition("</thead>")[0]
    code, _, err = run("report", "out", "--output", "again.html")
    assert code == 0, err
    data = ["--data", "digits", "--calibration-samples", "12", "--steps", "1,2"]
    code, _, err = run("convert", f"{module}:Maps", *data, "--output", "saved")
    assert code == 0, err
    saved = [*SMALL[:4], "--output", "eva"]
    code, _, err = run("evaluate", "saved/network.safetensors", *saved, *metric)
    assert code == 0, err
    assert "mean_of" in Path("eva/report.html").read_text()
    code, _, err = run("report", "out", "eva", "--output", "both.html")
    assert code == 0, err
    assert "Other measures than accuracy" in Path("both.html").read_text()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("sure", "name a function of (output, labels) as package.module:function"),
        ("no_such_module:sure", "there is no module 'no_such_module'"),
        ("MODULE:no_such", "has no 'no_such'"),
        ("MODULE:METRICS", "has no 'METRICS'"),
        ("MODULE:__name__", "a metric is a function of (output, labels), got"),
    ],
)
def test_what_is_no_metric_is_refused(run: Run, module: str, metric: str, message: str) -> None:
    named = metric.replace("MODULE", module)
    code, out, err = run("sweep", DIGITS, *SMALL, "--neuron", "nearest", "--metric", named)
    assert (code != 0, out) == (True, "")
    assert message in " ".join(err.split())


def test_an_error_of_the_metric_itself_is_told_as_the_metrics(run: Run, module: str) -> None:
    words = ["sweep", DIGITS, *SMALL, "--neuron", "nearest"]
    code, _, err = run(*words, "--metric", f"{module}:broken")
    assert code == 4, err
    assert f"--metric {module}:broken: the function raises KeyError: 'no such key'" in err
    assert "this is a bug" not in err


ONE_NUMBER = """
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(self.conv(x).relu().mean((2, 3))).squeeze(-1)
"""


def test_a_network_of_one_number_a_sample_has_energy_but_no_accuracy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"one_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(ONE_NUMBER)
    monkeypatch.chdir(tmp_path)
    model, data = f"{name}:Model", ("--data", "digits")
    code, _, err = run("convert", model, *data, "--steps", "2", "--output", "out")
    assert code == 0, err
    code, _, err = run("evaluate", "out/network.safetensors", *data, "--limit", "20")
    assert code == 2
    assert "the network answers [B]" in err
    assert "--metric measures other answers" in " ".join(err.split())
    code, text, err = run("energy", model, *data, "--steps", "2", "--limit", "20")
    assert code == 0, err
    assert "additions" in text


def test_classes_in_another_order_are_refused_beside_a_metric(run: Run, module: str) -> None:
    snn = sw.convert(digits_cnn().eval(), torch.rand(8, 1, 8, 8), steps=2)
    snn.save("swapped.safetensors", notes={"classes": ["1", "0", *map(str, range(2, 10))]})
    words = [*SMALL[:4], "--metric", f"{module}:sure"]
    code, _, err = run("evaluate", "swapped.safetensors", *words)
    assert code == 2
    assert "answer 0 of the saved network means '1'" in err


def test_networks_of_other_outputs_than_classes_are_made_and_priced(run: Run, module: str) -> None:
    model = [DIGITS, "--model-argument", "num_classes=5"]
    data = ["--data", "digits", "--calibration-samples", "12"]
    code, _, err = run("convert", *model, *data, "--steps", "2", "--output", "five")
    assert code == 0, err
    assert "classes" not in describe("five/network.safetensors").notes
    words = ["five/network.safetensors", *SMALL[:4]]
    code, _, err = run("evaluate", *words, "--metric", f"{module}:length")
    assert code == 0, err
    code, text, err = run("energy", *model, *SMALL, "--neuron", "nearest")
    assert code == 0, err
    assert "additions" in text
    for command in (["evaluate", *words], ["convert", *model, *data, "--agreement", "0.9"]):
        code, _, err = run(*command)
        assert code == 2
        assert "the model has 5 outputs and 'digits' 10 classes" in err
