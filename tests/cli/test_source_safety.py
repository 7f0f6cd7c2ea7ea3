"""Trouble with inputs and outputs: told clearly, nothing lost."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spikewright.models import digits_cnn

from .conftest import DIGITS, Run

WORDS = ["--data", "digits", "--calibration-samples", "12", "--limit", "20", "--steps", "2"]
ENERGY = ["energy", DIGITS, *WORDS, "--neuron", "nearest"]
PICTURES = 6
"""Of each class in each split."""


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A class folder of small pictures, and the module of a model for them."""
    image = pytest.importorskip("PIL.Image", reason="needs the extra 'vision'")
    folder = tmp_path / "pictures"
    for split in ("train", "test"):
        for shade, name in enumerate(("a", "b")):
            (folder / split / name).mkdir(parents=True)
            for number in range(PICTURES):
                path = folder / split / name / f"{number}.png"
                image.new("RGB", (4, 4), (100 * shade, 20 * number, 7)).save(path)
    (tmp_path / "small_picture_model.py").write_text(
        "from torch import nn\n"
        "def flat(outputs=2):\n"
        "    layers = nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, outputs)\n"
        "    return nn.Sequential(nn.Flatten(), *layers)\n"
    )
    monkeypatch.chdir(tmp_path)
    return folder


def damage(pictures: Path, split: str, *names: str) -> None:
    for name in names:
        path = pictures / split / name
        path.write_bytes(path.read_bytes()[:40])


def measure(run: Run, pictures: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    words = ["--data", f"imagefolder:{pictures}", "--steps", "2", "--neuron", "nearest", "--json"]
    code, out, err = run("sweep", "small_picture_model:flat", *words, *more)
    return code, json.loads(out) if out else {}, " ".join(err.split())


@pytest.mark.parametrize("batch_size", ["1", "5", "250"])
def test_damaged_pictures_are_left_out_and_listed(
    run: Run, pictures: Path, batch_size: str
) -> None:
    damage(pictures, "test", "a/0.png", "b/3.png")
    damage(pictures, "train", "a/0.png")
    code, found, err = measure(run, pictures, "--batch-size", batch_size)
    assert code == 0, err
    assert found["studies"][0]["sweep"]["record"]["samples"] == 2 * PICTURES - 2
    assert "left out 3 pictures that cannot be read (--strict refuses them)" in err
    names = [str(pictures / name) for name in ("test/a/0.png", "test/b/3.png", "train/a/0.png")]
    assert found["skipped_pictures"] == names
    for name in names:
        assert name in err


def test_sound_pictures_are_all_measured(run: Run, pictures: Path) -> None:
    code, found, err = measure(run, pictures)
    assert code == 0
    assert found["studies"][0]["sweep"]["record"]["samples"] == 2 * PICTURES
    assert found["skipped_pictures"] == []
    assert "left out" not in err


def test_many_damaged_pictures_are_counted(run: Run, pictures: Path) -> None:
    damage(pictures, "test", *(f"a/{n}.png" for n in range(PICTURES)), "b/0.png")
    code, found, err = measure(run, pictures)
    assert code == 0
    assert len(found["skipped_pictures"]) == PICTURES + 1
    assert "left out 7 pictures" in err
    assert "a/4.png and 2 more" in err


def test_strict_refuses_a_damaged_picture(run: Run, pictures: Path) -> None:
    damage(pictures, "test", "b/3.png")
    code, found, err = measure(run, pictures, "--strict")
    assert (code, found) == (4, {})
    assert f"'{pictures}/test/b/3.png' cannot be read as a picture" in err


@pytest.mark.parametrize(("split", "code"), [("train", 2), ("test", 2)])
def test_no_sound_picture_at_all(run: Run, pictures: Path, split: str, code: int) -> None:
    damage(pictures, split, *(f"{c}/{n}.png" for c in "ab" for n in range(PICTURES)))
    found, _, err = measure(run, pictures)
    assert found == code
    assert "none of its 12 pictures can be read" in err


def test_pictures_left_out_before_an_interruption_stay_listed(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(pictures, "test", "a/1.png")
    words = ["--batch-size", "4", "--output", str(tmp_path / "out")]

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("spikewright.cli.commands.sweep.inside_study", stopped)
        assert measure(run, pictures, *words)[0] == 130
    code, found, err = measure(run, pictures, *words)
    assert code == 0, err
    assert found["skipped_pictures"] == [f"{pictures}/test/a/1.png"]


MEASURING = {
    "sweep": ["--steps", "2", "--neuron", "nearest,if"],
    "energy": ["--steps", "2", "--neuron", "nearest,if"],
    "misalignment": ["--steps", "2", "--orders", "late"],
    "evaluate": ["--steps", "2,4"],
}


def swapped(pictures: Path) -> None:
    """Exchange two pictures of a class that is measured."""
    first, second = (pictures / "test" / "a" / f"{number}.png" for number in (0, 5))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


@pytest.mark.parametrize("command", MEASURING)
def test_unfinished_work_on_other_images_is_refused(
    run: Run, pictures: Path, tmp_path: Path, command: str
) -> None:
    data = ["--data", f"imagefolder:{pictures}"]
    subject = "small_picture_model:flat"
    if command == "evaluate":
        code, _, err = run("convert", subject, *data, "--output", str(tmp_path / "saved"))
        assert code == 0, err
        subject = str(tmp_path / "saved" / "network.safetensors")
    words = [command, subject, *data, *MEASURING[command], "--output", str(tmp_path / "out")]
    code, _, err = run(*words, "--share", "0/2")
    assert code == 0, err
    assert "this share is done" in err
    swapped(pictures)
    code, out, err = run(*words, "--batch-size", "250")
    assert (code, out) == (2, "")
    assert "cells of another configuration" in err
    swapped(pictures)
    code, _, err = run(*words)
    assert code == 0, err
    assert "going on with the unfinished work" in err


def test_a_rerun_names_other_images(run: Run, pictures: Path, tmp_path: Path) -> None:
    assert measure(run, pictures, "--output", str(tmp_path / "out"))[0] == 0
    (pictures / "test" / "b" / "0.png").write_bytes(
        (pictures / "test" / "a" / "5.png").read_bytes()
    )
    _, out, _ = run("rerun", str(tmp_path / "out"))
    changed = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("changed")]
    assert [line.partition(":")[0] for line in changed] == ["inputs/images"]


def test_labels_that_the_model_has_no_output_for(run: Run, pictures: Path) -> None:
    code, _, err = measure(run, pictures, "--model-argument", "outputs=1")
    assert code == 2
    assert "the model has 1 outputs and 'imagefolder' 2 classes" in err


def test_images_of_another_shape_name_both(run: Run, pictures: Path) -> None:
    code, _, err = run("convert", DIGITS, "--data", f"imagefolder:{pictures}")
    assert code == 2
    err = " ".join(err.split())
    assert "the images of 'imagefolder', which are 3 x 4 x 4" in err
    assert "it takes 1 x 8 x 8, of the sizes that were tried" in err
    words = ["--data", f"imagefolder:{pictures}", "--size", "5"]
    code, _, err = run("convert", "small_picture_model:flat", *words)
    assert code == 2
    assert "which are 3 x 5 x 5; nor any of the usual sizes" in " ".join(err.split())


def test_weights_that_do_not_fit_name_every_tensor(run: Run, tmp_path: Path) -> None:
    tensors = dict(digits_cnn().state_dict())
    tensors["other"] = tensors.pop("conv1.weight")
    tensors["linear.weight"] = torch.ones(5, 512)
    tensors["bn1.weight"] = torch.full((32,), float("nan"))
    tensors["linear.bias"] = torch.ones(10, dtype=torch.int8)
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    code, out, err = run(*ENERGY, "--weights", str(path))
    assert (code, out) == (2, "")
    for told in (
        "5 difference(s)",
        "missing: conv1.weight (32, 1, 3, 3)",
        "unexpected: other (32, 1, 3, 3)",
        "shape: linear.weight is (5, 512) in the file, (10, 512) in the model",
        "type: linear.bias is torch.int8 in the file, torch.float32 in the model",
        "not finite: bn1.weight (32,)",
    ):
        assert told in err


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)


COMMANDS = [
    ENERGY,
    ["sweep", DIGITS, *WORDS, "--neuron", "nearest"],
    ["convert", DIGITS, "--data", "digits", "--calibration-samples", "12"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_full_disk_is_told_and_older_files_stay(
    run: Run, tmp_path: Path, words: list[str], request: pytest.FixtureRequest
) -> None:
    words = [*words, "--output", str(tmp_path)]
    assert run(*words)[0] == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    request.getfixturevalue("full_disk")
    code, out, err = run(*words)
    assert (code, out) == (5, "")
    assert f"No space left on device: '{tmp_path}/" in err
    assert "the disk is full: make room" in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_missing_permission_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "replace", refused)
    code, _, err = run(*ENERGY, "--output", str(tmp_path))
    assert code == 5
    assert f"Permission denied: '{tmp_path}/cells/configuration.json'" in err
    assert "see to the permissions" in err
    assert not list(tmp_path.iterdir())


def test_a_missing_permission_is_told_before_the_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refused)
    code, _, err = run(*ENERGY, "--output", str(tmp_path / "new"))
    assert code == 5
    assert f"{tmp_path / 'new'}: cannot write there (Permission denied)" in " ".join(err.split())


def test_a_batch_that_does_not_fit_is_halved_and_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    from spikewright.network import SpikingNetwork

    words = ["sweep", DIGITS, *WORDS, "--neuron", "tpp", "--json"]
    whole = json.loads(run(*words)[1])
    observe = SpikingNetwork.observe

    def small(self: SpikingNetwork, images: torch.Tensor, *given: Any, **named: Any) -> Any:
        if len(images) > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return observe(self, images, *given, **named)

    monkeypatch.setattr(SpikingNetwork, "observe", small)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of the tests: the same words once
        code, out, err = run(*words)
    assert code == 0, err
    assert json.loads(out)["studies"][0]["sweep"]["rows"] == whole["studies"][0]["sweep"]["rows"]
    assert "warning: a batch of 20 samples does not fit into memory" in err
    assert err.count("does not fit") == 1


def test_a_factory_that_exits_is_an_error(run: Run) -> None:
    code, out, err = run("check", "sys:exit")
    assert (code, out) == (2, "")
    assert "calling sys:exit() failed: SystemExit" in err
