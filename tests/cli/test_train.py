"""`spikewright train`: every option reaches the recipe, and the line of progress tells the time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spikewright.cli.commands.train import summary
from spikewright.cli.progress import ProgressLine, duration
from spikewright.runs.card import read_card
from spikewright.runs.zoo import zoo_folder
from spikewright.training.checkpoint import EpochMetrics

from .conftest import Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

ZOO_SHA256 = read_card(zoo_folder("digits-qcfs8")).weights_sha256
NETWORK = ["--model", "digits_cnn", "--data", "digits"]
SHORT = [*NETWORK, "--epochs", "1", "--batch-size", "512"]


def test_a_run_is_trained_resumed_and_swept(run: Run, tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    words = "--levels 4 --threshold 2 --augment none --mean 0.3 --std 0.4 --epochs 3"
    code, out, err = run("train", *NETWORK, *words.split(), "--output", folder)
    assert code == 0, err
    assert out.splitlines()[0] == "weights of epoch 3 of 3, best on validation"
    assert out.splitlines()[2].startswith("test ")
    assert err.startswith("epoch 1/3  loss ")
    assert err.endswith("0 min 00 s left\n")
    code, again, err = run("train", "--resume", folder, "--json")
    card = json.loads(again)
    assert (code, err, card["epochs"]) == (0, "", 3)
    small = ["--data", "digits", "--calibration-samples", "12", "--threshold", "learned"]
    more = ["--correction", "none", "--neuron", "nearest", "--steps", "4", "--json"]
    code, out, err = run("sweep", f"run:{folder}", *small, *more)
    assert code == 0, err
    accuracies = {
        row["network"]: row["accuracy"] for row in json.loads(out)["studies"][0]["sweep"]["rows"]
    }
    # normalised as in training without being told, and lossless at T = L
    assert accuracies["nearest"] == card["test"]["accuracy"]


@pytest.mark.parametrize(
    ("name", "ending"),
    [("digits-qcfs8", "--data ... --threshold learned"), ("cct6-cifar10", "--data ...")],
)
def test_thresholds_are_offered_where_they_were_learned(name: str, ending: str) -> None:
    assert summary(read_card(zoo_folder(name)), "runs/it").endswith(ending)


def test_every_option_reaches_the_recipe(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = (
        "--activation clipped --shift-steps 8 --augment flip,crop "
        "--optimizer adamw --learning-rate 0.01 --weight-decay 0.1 --decay-thresholds "
        "--schedule one-cycle --label-smoothing 0.1 --ema 0.9 --clip-gradient 2 --keep-last "
        "--bf16 --channels-last --seed 9 --start-from zoo:digits-qcfs8"
    )
    code, _, err = run("train", *SHORT, *words.split(), "--output", str(folder))
    assert code == 0, err
    assert json.loads((folder / "run.json").read_text())["recipe"] == {
        "data": {
            "data": "digits",
            "mean": None,
            "std": None,
            "validation": None,
            "augment": ["crop", "flip"],
            "size": None,
        },
        "network": {
            "model": "digits_cnn",
            "activation": "clipped",
            "levels": None,
            "shift_steps": 8,
            "threshold": None,
        },
        "optimisation": {
            "epochs": 1,
            "batch_size": 512,
            "optimizer": "adamw",
            "learning_rate": 0.01,
            "momentum": None,
            "weight_decay": 0.1,
            "decay_thresholds": True,
            "schedule": "one-cycle",
            "warmup_epochs": 0.0,
            "label_smoothing": 0.1,
            "ema": 0.9,
            "clip_gradient": 2.0,
            "sparsity": 0.0,
            "keep_last": True,
        },
        "numerics": {"bf16": True, "channels_last": True, "compile": False},
        "seed": 9,
        "start": {"weights": "zoo:digits-qcfs8", "sha256": ZOO_SHA256},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "digits"], "--output DIR names the folder of the run"),
        (["--output", "x"], "--data is needed"),
        (["--output", "x", "--data", "digits"], "qcfs needs its number of levels"),
        (["--resume", "x", "--epochs", "3", "--bf16"], "leave out --epochs, --bf16"),
        (["--output", "x", "--levels", "4", "--data", "cifar10:none"], "there is no folder 'none'"),
        (["--resume", "x"], "'x' holds no training run"),
        (["--resume", "x", "--output", "y"], "--resume DIR and --output DIR"),
        (
            ["--output", "x", "--data", "digits", "--augment", "spin"],
            "--augment spin: give some of crop, flip, cutout, autoaugment, or none",
        ),
    ],
)
def test_wrong_usage_is_told(
    run: Run, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("train", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_the_time_left_is_counted_from_where_the_run_went_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [100.0]
    line = ProgressLine(lambda: now[0])
    metrics = EpochMetrics(3, 0.5, 0.8, 0.75, 0.6, 0.1, None, 20.0)
    for step in (1, 2, 3, 4):
        now[0] += 5.0
        line(3, 10, step, 4, None)
    line(3, 10, 1, 1, metrics)
    assert capsys.readouterr().err == (
        "epoch 3/10  loss 0.5000  training 80.00 %  validation 75.00 %  20 s  2 min 20 s left\n"
    )
    line(4, 10, 1, 1, replace(metrics, epoch=4, spikes=0.5))
    assert "loss 0.5000  0.500 spikes a neuron  training 80.00 %" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 min 00 s"), (61, "1 min 01 s"), (3599.6, "1 h 00 min"), (9000, "2 h 30 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
