"""`spikewright train-sequences`: every option reaches the recipe, and what a run leaves is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikewright.recurrent import load_srnn, read_srnn_card
from spikewright.recurrent.sequences import digit_sequences

from .conftest import Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

SMALL = ["--data", "digits-rows", "--units", "6", "--epochs", "2", "--batch-size", "256"]


def test_a_run_is_trained_resumed_and_loaded(run: Run, tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    code, out, err = run("train-sequences", *SMALL, "--output", folder)
    assert code == 0, err
    lines = out.splitlines()
    names = [line[:12].strip() for line in lines[1:6]]
    assert names == ["validation", "test", "spikes", "operations", "an LSTM's"]
    assert err.startswith("epoch 1/2  loss ")
    assert err.endswith("0 min 00 s left\n")
    card = read_srnn_card(tmp_path / "run")
    assert f"weights of epoch {card.best_epoch} of 2, best on validation" == lines[0]
    assert lines[2] == f"test        {card.test}"
    assert lines[3].startswith(f"spikes      {card.costs.spikes:,.1f} a sequence; ")
    assert lines[5].startswith(f"an LSTM's   0 additions, {card.costs.lstm.macs:,.0f} MACs, ")
    assert lines[6] == "(spikes and operations: mean of 450 test sequences)"
    assert lines[7].endswith(f"load_srnn({folder!r})")
    code, again, err = run("train-sequences", "--resume", folder, "--json")
    assert (code, err) == (0, "")
    assert json.loads(again)["weights_sha256"] == card.weights_sha256
    assert load_srnn(folder).inputs == digit_sequences("rows").features


def test_a_run_that_was_stopped_ends_with_the_same_weights(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train-sequences", *SMALL, "--output"]
    assert run(*words, str(tmp_path / "whole"))[0] == 0
    stopped = str(tmp_path / "stopped")
    with monkeypatch.context() as patched:

        def interrupted(*given: object) -> None:
            if given[:3] == (2, 2, 1):  # the first step of the second epoch
                raise KeyboardInterrupt

        patched.setattr("spikewright.cli.progress.ProgressLine.__call__", staticmethod(interrupted))
        assert run(*words, stopped)[0] == 130
    assert len((tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()) == 1
    code, _, err = run("train-sequences", "--resume", stopped)
    assert code == 0, err
    assert err.startswith("epoch 2/2  loss ")
    files = [tmp_path / name / "weights.safetensors" for name in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_every_option_reaches_the_recipe(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = (
        "--data recall:2 --noise 0.25 --units 5,4 --threshold 0.5 --beta 0.25 "
        "--time-constant 10,2 --adaptation-time-constant 30,5 --no-recurrent --input-gain 3 "
        "--answer-steps 10 --epochs 1 --batch-size 512 --learning-rate 0.005 --rate-steps 4 "
        "--clip-gradient 2 --seed 9 --tensorboard"
    )
    pytest.importorskip("tensorboard", reason="needs the extra 'train'")
    code, _, err = run("train-sequences", *words.split(), "--output", str(folder))
    assert code == 0, err
    assert list((folder / "tensorboard").iterdir())
    recorded = json.loads((folder / "run.json").read_text())
    assert recorded["command"] == "train-sequences"
    assert recorded["recipe"] == {
        "data": {"data": "recall:2", "shifted": False, "noise": 0.25},
        "network": {
            "units": [5, 4],
            "threshold": 0.5,
            "beta": 0.25,
            "time_constant": [10.0, 2.0],
            "adaptation_time_constant": [30.0, 5.0],
            "recurrent": False,
            "input_gain": 3.0,
            "answer_steps": 10,
        },
        "training": {
            "epochs": 1,
            "batch_size": 512,
            "learning_rate": 0.005,
            "rate_steps": 4,
            "clip_gradient": 2.0,
            "seed": 9,
        },
    }
    shifted = ["--shifted", "--units", "2", "--epochs", "1", "--batch-size", "4096"]
    words = ["--data", "digits-rows", *shifted, "--output", str(tmp_path / "shifted")]
    assert run("train-sequences", *words)[0] == 0
    assert read_srnn_card(tmp_path / "shifted").data.training == 9 * 1078


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "digits-rows"], "--output DIR names the folder of the run"),
        (["--output", "x"], "--data is needed"),
        (["--output", "x", "--data", "digits"], "unknown sequences 'digits'; give one of"),
        (["--output", "x", "--data", "recall:0"], "give recall:DELAY with 1 to 10,000 steps"),
        (["--output", "x", "--data", "heidelberg:none"], "holds neither shd_train.h5"),
        (["--output", "x", "--data", "speech-commands:none"], "'none' is no folder"),
        (["--output", "x", "--data", "digits-rows", "--noise", "0"], "takes no noise"),
        (["--output", "x", "--data", "recall:3", "--shifted"], "has no shifted digits"),
        (["--output", "x", "--data", "digits-rows", "--answer-steps", "9"], "has 8 time steps"),
        (["--output", "x", "--data", "digits-rows", "--units", "8,x"], "not a whole number"),
        (["--output", "x", "--data", "digits-rows", "--device", "potato"], "--device potato"),
        (["--resume", "x", "--epochs", "3", "--beta", "1"], "leave out --beta, --epochs"),
        (["--resume", "x"], "start one with spikewright train-sequences --output DIR"),
        (["--resume", "x", "--output", "y"], "--resume DIR and --output DIR"),
    ],
)
def test_wrong_usage_is_told(
    run: Run, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("train-sequences", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_other_commands_send_their_users_here(run: Run, tmp_path: Path) -> None:
    code, out, err = run("train", "--model", "srnn", "--data", "digits-rows", "--output", "x")
    assert (code, out) == (2, "")
    assert "train it by spikewright train-sequences" in err
    folder = str(tmp_path / "run")
    assert run("train-sequences", *SMALL, "--output", folder)[0] == 0
    for words in (
        ["train", "--resume", folder],
        ["finetune", "--resume", folder],
        ["sweep", f"run:{folder}", "--data", "digits"],
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert "is of a run of spikewright train-sequences" in err
