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
        return torch.logcumsumexp(self.second(x), 1) + torch.cumprod(x, 1)
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
    for part in ("aten.logcumsumexp", "aten.cumprod", "gated_model.py:12", "What to do"):
        assert part in out
    assert out.count(" refused ") == 2


def test_offenders_in_json(run: Run, refused: str) -> None:
    code, out, _ = run("check", refused, "--input-shape", "4", "--json")
    found = json.loads(out)
    assert code == 3
    assert found["converts"] is False
    assert {o["operation"] for o in found["offenders"]} == {"aten.logcumsumexp", "aten.cumprod"}
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


USED = """
import random
import torch
from torch import nn

def double():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU()).double()

def half():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU()).half()

def sized(num_classes):
    return nn.Sequential(nn.Linear(4, num_classes), nn.ReLU())

class Pair(nn.Module):
    def forward(self, image1, image2):
        return torch.relu(image1 - image2)

class Labelled(nn.Module):
    def __init__(self):
        super().__init__()
        self.known = nn.Embedding(2, 4)

    def forward(self, x, label):
        return torch.relu(x + self.known(label))

class Random(nn.Module):
    def forward(self, x):
        return torch.relu(x + random.random())
"""


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"used_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USED)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize("factory", ["double", "half"])
def test_a_model_is_checked_in_its_own_dtype(run: Run, used: str, factory: str) -> None:
    code, out, _ = run("check", f"{used}:{factory}", "--input-shape", "4")
    assert code == 0
    assert "It converts." in out


@pytest.mark.parametrize(
    ("factory", "code", "reason"),
    [
        (
            "sized",
            2,
            "missing 1 required positional argument: 'num_classes'; give it as --model-ar",
        ),
        ("Pair", 3, "takes (image1, image2): missing a required argument: 'image2'; give dicts"),
        ("Random", 3, "the captured graph differs from the model"),
    ],
)
def test_check_promises_what_convert_does(
    run: Run, used: str, factory: str, code: int, reason: str
) -> None:
    found, out, err = run("check", f"{used}:{factory}", "--input-shape", "4")
    assert (found, out) == (code, "")
    assert reason in err


def test_a_model_of_several_inputs_is_checked_with_each(run: Run, used: str) -> None:
    inputs = ("--input", "image1=float:3,4", "--input", "image2=3,4")
    code, out, _ = run("check", f"{used}:Pair", *inputs)
    assert code == 0
    assert "image1 3 x 4, image2 3 x 4" in out
    code, out, _ = run("check", f"{used}:Pair", *inputs, "--json")
    assert json.loads(out)["inputs"] == {"image1": [3, 4], "image2": [3, 4]}


def test_an_input_of_one_number_a_sample_has_no_shape(run: Run, used: str) -> None:
    code, out, err = run("check", f"{used}:Labelled", "--input", "x=4", "--input", "label=ids:")
    assert code == 0, err
    assert "x 4, label a number" in out
    code, _, err = run("check", f"{used}:Labelled", "--input", "x=4", "--input", "label=ids:4,")
    assert code == 2
    assert "--input label '4,': separate values by single commas" in err


@pytest.mark.parametrize(
    "given", ["image1", "image1=", "a b=ids:3", "image1=text:4", "image1=ids:x"]
)
def test_inputs_of_another_form_are_refused(run: Run, used: str, given: str) -> None:
    code, _, err = run("check", f"{used}:Pair", "--input", given)
    assert code == 2
    assert given.partition(":")[2] in err


def test_programs_of_other_batches_are_refused(run: Run, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU()).eval()
    fixed = torch.export.export(model, (torch.zeros(2, 5),))
    torch.export.save(fixed, tmp_path / "fixed.pt2")
    code, out, err = run("check", str(tmp_path / "fixed.pt2"))
    assert (code, out) == (2, "")
    assert "fixed.pt2': this program was exported for one batch size; export it again" in err


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("r3d_18", "give torchvision.models.video:r3d_18"),
        ("fcn_resnet50", "give torchvision.models.segmentation:fcn_resnet50"),
        ("resnet19", "list_models(module=torchvision.models) lists them"),
    ],
)
def test_models_of_torchvision_that_are_no_classifiers(run: Run, name: str, advice: str) -> None:
    pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    code, _, err = run("check", f"torchvision:{name}")
    assert code == 2
    assert advice in err


def test_a_shape_that_does_not_fit_is_named(run: Run) -> None:
    code, out, err = run("check", DIGITS)
    assert (code, out) == (2, "")
    assert "does not take a batch of shape [2, 3, 224, 224]" in err
    assert "this shape is the default: give the shape of one sample as --input-shape" in err
