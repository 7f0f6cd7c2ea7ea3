"""`spikewright evaluate`: a saved network on data, prepared as it was calibrated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import spikewright as sw
from spikewright.models import digits_cnn

from .conftest import DIGITS, Run

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

CONVERTED = ["--data", "digits", "--calibration-samples", "12", "--mean", "0.3", "--std", "0.4"]
LIMITED = ["--data", "digits", "--limit", "20", "--seeds", "2"]


@pytest.fixture
def saved(run: Run, tmp_path: Path) -> Path:
    """Of two designed T, on normalised digits."""
    words = [*CONVERTED, "--neuron", "tpp", "--steps", "4,2", "--output", str(tmp_path / "made")]
    code, _, err = run("convert", DIGITS, *words)
    assert code == 0, err
    return tmp_path / "made" / "network.safetensors"


def rows_of(out: str) -> list[dict[str, Any]]:
    return json.loads(out)["studies"][0]["sweep"]["rows"]


def test_a_saved_network_answers_as_the_sweep_that_converts_it(run: Run, saved: Path) -> None:
    """Same model, calibration, preparation, images and seeds: the same numbers, ANN included."""
    limit = ["--limit", "20", "--seeds", "2", "--json"]
    words = ["--neuron", "tpp", "--steps", "4,2", *limit]
    code, out, err = run("sweep", DIGITS, *CONVERTED, *words)
    assert code == 0, err
    swept = rows_of(out)
    code, out, err = run("evaluate", str(saved), *LIMITED, "--json")
    assert code == 0, err
    here = rows_of(out)
    assert [row["steps"] for row in here] == [2, 4]
    parts = ("accuracy", "per_seed", "spikes_per_image", "latency", "agreement", "p_value")
    known = {row["steps"]: [row[part] for part in parts] for row in swept}
    assert {row["steps"]: [row[part] for part in parts] for row in here} == known


def test_files_and_rerun(run: Run, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    code, out, err = run("evaluate", str(saved), *LIMITED, "--output", str(folder))
    assert code == 0, err
    assert "ANN" in out
    assert "TPP" in out
    configuration = json.loads((folder / "config.json").read_text())
    assert configuration["command"] == "evaluate"
    assert configuration["steps"] == [2, 4]
    assert set(configuration["inputs"]) == {"file", "images"}
    page = (folder / "report.html").read_text()
    assert "A saved network, measured" in page
    code, out, err = run("rerun", str(folder))
    assert code == 0, err
    assert out.startswith("the same: all ")


def test_the_options_overrule_the_file(run: Run, saved: Path) -> None:
    found = [
        rows_of(run("evaluate", str(saved), *LIMITED, *more, "--json")[1])[1]["spikes_per_image"]
        for more in ([], ["--mean", "0.3", "--std", "0.4"], ["--mean", "0", "--std", "1"])
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_file_that_says_nothing_of_images(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    snn = sw.convert(digits_cnn().eval(), torch.rand(8, 1, 8, 8), steps=2)
    snn.save(tmp_path / "bare.safetensors")
    code, _, err = run("evaluate", str(tmp_path / "bare.safetensors"), *LIMITED)
    assert code == 0, err
    assert "does not say how images were prepared" in err
    _, _, err = run("evaluate", str(tmp_path / "bare.safetensors"), *LIMITED, "--mean", "0.1")
    assert "does not say" not in err


@pytest.mark.parametrize(
    ("preparation", "told"),
    [
        ({"mean": "0.3"}, "preparation'.mean: expected array | null, got str"),
        ({"size": 10**9}, "size must lie in 1 .. 4096"),
        ({"size": 8, "resize": {"side": 10**9}}, "resize.side is at most 8192"),
        ({"size": 8, "resize": {"side": 9, "interpolation": "nearest"}}, "give one of bilinear, b"),
        (7, "expected object, got int"),
    ],
)
def test_notes_that_make_no_sense_are_refused(
    run: Run, tmp_path: Path, preparation: object, told: str
) -> None:
    snn = sw.convert(digits_cnn().eval(), torch.rand(8, 1, 8, 8), steps=2)
    snn.save(tmp_path / "odd.safetensors", notes={"preparation": preparation})
    code, _, err = run("evaluate", str(tmp_path / "odd.safetensors"), *LIMITED)
    assert code == 2
    assert told in err


def test_float64_networks_are_given_float64_images(run: Run, tmp_path: Path) -> None:
    words = ["--data", "digits", "--calibration-samples", "12", "--steps", "2"]
    words += ["--precision", "float64", "--output", str(tmp_path)]
    assert run("convert", DIGITS, *words)[0] == 0
    code, _, err = run("evaluate", str(tmp_path / "network.safetensors"), *LIMITED)
    assert code == 0, err


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_of_16_bits_are_given_such_images(
    run: Run, tmp_path: Path, dtype: torch.dtype
) -> None:
    snn = sw.convert(digits_cnn().to(dtype).eval(), torch.rand(8, 1, 8, 8, dtype=dtype), steps=2)
    snn.save(tmp_path / "half.safetensors")
    out = ["--output", str(tmp_path / "out")]
    code, _, err = run("evaluate", str(tmp_path / "half.safetensors"), *LIMITED, *out)
    assert code == 0, err


def pictures(folder: Path, classes: tuple[str, ...], side: int, mode: str = "L") -> Path:
    for split in ("train", "test"):
        for number, name in enumerate(classes):
            place = folder / split / name
            place.mkdir(parents=True)
            pixels = np.full((side, side, 3)[: 3 if mode == "RGB" else 2], 20 * number, np.uint8)
            Image.fromarray(pixels).save(place / "one.png")
    return folder


def test_data_that_do_not_fit_are_refused(run: Run, saved: Path, tmp_path: Path) -> None:
    colours = pictures(tmp_path / "colours", tuple("0123456789"), 8, "RGB")
    code, _, err = run("evaluate", str(saved), "--data", f"imagefolder:{colours}")
    assert code == 2
    assert "the network takes 1 x 8 x 8" in err or "one value a channel" in err
    code, _, err = run("evaluate", str(tmp_path), *LIMITED)
    assert code == 2
    code, _, err = run("evaluate", str(saved), *LIMITED, "--frames")
    assert code == 2
    assert "holds still images" in err


def test_the_same_classes_in_another_order_are_refused(run: Run, tmp_path: Path) -> None:
    snn = sw.convert(digits_cnn().eval(), torch.rand(8, 1, 8, 8), steps=2)
    swapped = ["1", "0", *map(str, range(2, 10))]
    snn.save(tmp_path / "swapped.safetensors", notes={"classes": swapped})
    code, _, err = run("evaluate", str(tmp_path / "swapped.safetensors"), *LIMITED)
    assert code == 2
    assert "answer 0 of the saved network means '1'" in err
    snn.save(tmp_path / "others.safetensors", notes={"classes": ["zero", "one"]})
    assert run("evaluate", str(tmp_path / "others.safetensors"), *LIMITED)[0] == 0


def test_another_number_of_classes_is_refused(run: Run, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4), torch.nn.ReLU())
    snn = sw.convert(
        torch.nn.Sequential(*model, torch.nn.Linear(4, 3)).eval(),
        torch.rand(8, 1, 8, 8),
        steps=2,
    )
    snn.save(tmp_path / "three.safetensors")
    code, _, err = run("evaluate", str(tmp_path / "three.safetensors"), *LIMITED)
    assert code == 2
    assert "the model has 3 outputs and 'digits' 10 classes" in err


def test_a_kill_goes_on(run: Run, saved: Path, tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / "out"
    words = ["evaluate", str(saved), *LIMITED, "--output", str(folder)]

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("spikewright.cli.commands.evaluate.inside_study", stopped)
        assert run(*words)[0] == 130
    code, _, err = run(*words)
    assert code == 0, err
    assert "going on with the unfinished work" in err
