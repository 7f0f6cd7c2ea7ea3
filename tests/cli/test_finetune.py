"""`spikewright finetune`: a saved network in, a tuned one out; every option reaches the run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import spikewright as sw
from spikewright.artefact import describe
from spikewright.cli.commands.finetune import _preparation  # pyright: ignore[reportPrivateUsage]
from spikewright.data import Resize, open_dataset
from spikewright.runs.recipe import DataRecipe
from spikewright.runs.zoo import zoo_folder

from .conftest import Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

CONVERT = [
    *("convert", "zoo:digits-qcfs8", "--data", "digits", "--neuron", "if", "--steps", "2"),
    *("--threshold", "learned", "--calibration-samples", "64"),
]
SHORT = [
    *("--data", "digits", "--method", "dsr", "--epochs", "2", "--batch-size", "16"),
    *("--samples", "200", "--learning-rate", "0.0005", "--seed", "5", "--augment", "none"),
]


@pytest.fixture(scope="module")
def network(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("converted")
    code, _, err = run(*CONVERT, "--output", str(folder))
    assert code == 0, err
    return str(folder / "network.safetensors")


def test_a_network_is_tuned_gone_on_with_and_evaluated(
    run: Run, network: str, tmp_path: Path
) -> None:
    folder = str(tmp_path / "run")
    code, out, err = run("finetune", network, *SHORT, "--output", folder)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("dsr, T = 2: the network of epoch ")
    assert [line.split("  ")[0] for line in lines[1:4]] == ["validation", "test before", "test"]
    assert err.startswith("epoch 0/2  loss ")
    held_out = (tmp_path / "run" / "held_out.safetensors").read_bytes()
    assert held_out == (zoo_folder("digits-qcfs8") / "held_out.safetensors").read_bytes()
    code, again, err = run("finetune", "--resume", folder, "--json")
    assert (code, err) == (0, "")
    card = json.loads(again)
    tuned = str(tmp_path / "run" / "network.safetensors")
    code, out, err = run("evaluate", tuned, "--data", "digits", "--json")
    assert (code, err) == (0, "")  # the file says how images are prepared
    rows = json.loads(out)["studies"][0]["sweep"]["rows"]
    assert {row["network"]: row["accuracy"] for row in rows}["IF"] == card["test"]["accuracy"]


def test_every_option_reaches_the_recipe(
    run: Run, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SHORT, "--steps", "3", "--mean", "0.1", "--std", "0.5", "--output", str(tmp_path)]
    loaded: list[Path | str] = []
    for module in ("spikewright.cli.commands.finetune", "spikewright.training.finetune"):
        patched = sys.modules[module]  # the functions have the modules' names
        monkeypatch.setattr(patched, "load", lambda path: loaded.append(path) or sw.load(path))
    code, _, err = run("finetune", network, *words)
    assert code == 0, err
    assert [str(path) for path in loaded] == [network]
    recipe = json.loads((tmp_path / "run.json").read_text())["recipe"]
    assert recipe["start"]["weights"] == network
    assert recipe["data"]["augment"] == []
    assert (recipe["data"]["mean"], recipe["data"]["std"]) == ([0.1], [0.5])
    chosen = {"epochs": 2, "batch_size": 16, "learning_rate": 0.0005}
    assert chosen.items() <= recipe["settings"].items()
    rest = (recipe["method"], recipe["steps"], recipe["samples"], recipe["seed"])
    assert rest == ("dsr", 3, 200, 5)


def test_the_options_of_nq_reach_the_recipe(run: Run, network: str, tmp_path: Path) -> None:
    words = ["--data", "digits", "--method", "nq", "--samples", "64", "--epochs", "1"]
    words += ["--levels", "8", "--noise", "0.5", "--output", str(tmp_path)]
    code, _, err = run("finetune", network, *words)
    assert code == 0, err
    settings = json.loads((tmp_path / "run.json").read_text())["recipe"]["settings"]
    assert (settings["levels"], settings["noise"]) == (8, 0.5)


def test_images_that_may_have_been_seen_are_told(run: Run, network: str, tmp_path: Path) -> None:
    start, folder = tmp_path / "start.safetensors", str(tmp_path / "run")
    told = {**describe(network).notes, "model": "package:factory"}
    sw.load(network).save(start, notes=told)
    code, out, err = run("finetune", str(start), *SHORT, "--output", folder)
    assert code == 0, err
    why = "'package:factory' keeps no list of images that it never saw"
    line = out.splitlines()[2].strip()
    assert line == f"the network may have been trained on these images, so they flatter: {why}"
    card = json.loads(run("finetune", "--resume", folder, "--json")[1])
    assert card["may_be_seen"] == why


def test_a_start_that_has_changed_is_refused(run: Run, network: str, tmp_path: Path) -> None:
    start, folder = tmp_path / "start.safetensors", str(tmp_path / "run")
    shutil.copy(network, start)
    assert run("finetune", str(start), *SHORT, "--output", folder)[0] == 0
    sw.load(start).save(start, notes={"other": "notes"})
    code, out, err = run("finetune", "--resume", folder)
    assert (code, out) == (2, "")
    assert "has changed since the run was begun" in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "digits"], "give both; or go on with --resume DIR"),
        (["NETWORK", "--output", "x"], "--data is needed"),
        (
            ["NETWORK", "--data", "digits", "--output", "x", "--method", "spin"],
            "give one of distil",
        ),
        (["NETWORK", *SHORT, "--output", "x", "--learning-rate", "0"], "must be above 0"),
        (["NETWORK", *SHORT, "--output", "x", "--levels", "8"], "--method dsr takes no --levels"),
        (
            ["NETWORK", *SHORT, "--output", "x", "--joint-epochs", "1"],
            "--method dsr takes no --joint-epochs",
        ),
        (
            ["NETWORK", "--data", "digits", "--output", "x", "--method", "nq", "--noise", "101"],
            "noise lies in 0 .. 100",
        ),
        (["NETWORK", "--resume", "x", "--epochs", "3"], "leave out --epochs, NETWORK"),
        (["NETWORK", "--data", "cifar10:none", "--output", "x"], "there is no folder 'none'"),
        (["--resume", "x"], "'x' holds no training run"),
        (["missing.safetensors", "--data", "digits", "--output", "x"], "missing.safetensors"),
    ],
)
def test_wrong_usage_is_told(
    run: Run,
    network: str,
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("finetune", *(network if word == "NETWORK" else word for word in words))
    assert code != 0
    assert out == ""
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_resized_as_those_of_calibration(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 12, 14, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        place = tmp_path / "data" / ("test" if number % 3 == 0 else "train") / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number}.png")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    network = sw.convert(model, torch.rand(16, 3, 8, 8), sw.TwoPhase("nearest"), steps=2)
    preparation = {"size": 8, "resize": {"side": 11, "interpolation": "bicubic"}}
    network.save(tmp_path / "network", notes={"preparation": preparation})
    opened: list[Any] = []
    command = sys.modules["spikewright.cli.commands.finetune"]

    def watched(*args: Any, **options: Any) -> Any:
        opened.append(options["resize"])
        return open_dataset(*args, **options)

    monkeypatch.setattr(command, "open_dataset", watched)
    words = [str(tmp_path / "network"), "--data", f"imagefolder:{tmp_path / 'data'}"]
    words += ["--epochs", "1", "--batch-size", "4", "--augment", "none"]
    code, _, err = run("finetune", *words, "--output", str(tmp_path / "run"))
    assert code == 0, err
    code, _, err = run("finetune", "--resume", str(tmp_path / "run"))
    assert code == 0, err
    assert opened == [Resize(11, "bicubic")] * 2
    kept = describe(tmp_path / "run" / "network.safetensors").notes["preparation"]
    assert (kept["size"], kept["resize"]) == (8, preparation["resize"])
    larger = _preparation(DataRecipe("imagefolder:here", size=16), {"preparation": preparation}, 3)
    assert (larger.size, larger.resize) == (16, Resize(22, "bicubic"))
