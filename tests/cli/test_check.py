from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from .conftest import DIGITS, Run

GOLDEN = """\
spikewright.models:digits_cnn, input 1 x 8 x 8

operation                          class         times
aten.add.Tensor                    linear            1
aten.avg_pool2d                    linear            1
aten.batch_norm                    linear            3
aten.conv2d                        linear            3
aten.linear                        linear            1
aten.reshape                       linear            1
getitem                            linear            3
aten.relu                          unit              3

neuron site  operation                  neurons
act1         aten.relu                    2,048
act2         aten.relu                      512
act3         aten.relu                      512
total                                     3,072

It converts.
"""

REFUSED = """
import torch
from torch import nn

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return torch.sigmoid(self.second(x)) * x
"""


def test_golden(run: Run) -> None:
    code, out, _ = run("check", DIGITS, "--input-shape", "1,8,8")
    assert (code, out) == (0, GOLDEN)


def test_the_total_of_neurons_is_the_sum_of_the_sites(run: Run) -> None:
    _, out, _ = run("check", DIGITS, "--input-shape", "1,8,8")
    table = out.split("neuron site")[1].splitlines()[1:]
    counts = [int(line.split()[-1].replace(",", "")) for line in table if line.startswith("act")]
    (total,) = [line.split()[-1] for line in table if line.startswith("total")]
    assert int(total.replace(",", "")) == sum(counts) == 3072


def test_json_says_the_same(run: Run) -> None:
    code, out, _ = run("check", DIGITS, "--input-shape", "1,8,8", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["converts"] is True
    assert found["offenders"] == []
    assert [site["neurons"] for site in found["sites"]] == [2048, 512, 512]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "gated_model.py").write_text(REFUSED)
    monkeypatch.chdir(tmp_path)
    return "gated_model:Gated"


def test_all_offenders_are_listed_and_the_exit_code_is_3(run: Run, refused: str) -> None:
    code, out, _ = run("check", refused, "--input-shape", "4")
    assert code == 3
    assert "It does not convert. 2 operations" in out
    for part in ("aten.sigmoid", "aten.mul.Tensor", "gated_model.py:12", "What to do"):
        assert part in out
    assert out.count(" refused ") == 2


def test_offenders_in_json(run: Run, refused: str) -> None:
    code, out, _ = run("check", refused, "--input-shape", "4", "--json")
    found = json.loads(out)
    assert code == 3
    assert found["converts"] is False
    assert {o["operation"] for o in found["offenders"]} == {"aten.sigmoid", "aten.mul.Tensor"}
    assert all(o["remedy"] and o["source"] for o in found["offenders"])


def test_a_linear_model_does_not_convert(run: Run) -> None:
    code, out, _ = run("check", "torch.nn:Identity", "--input-shape", "4")
    assert code == 3
    assert "no activation" in out


def test_an_exported_program_tells_its_shape(run: Run, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU()).eval()
    batch = torch.export.Dim.DYNAMIC
    program = torch.export.export(model, (torch.zeros(2, 5),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "model.pt2")
    code, out, err = run("check", str(tmp_path / "model.pt2"))
    assert code == 0, err
    assert "input 5" in out


def test_a_shape_that_does_not_fit_is_named(run: Run) -> None:
    code, out, err = run("check", DIGITS)
    assert (code, out) == (2, "")
    assert "3,224,224" in err
    assert "--input-shape" in err
