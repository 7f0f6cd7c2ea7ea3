"""How pictures are prepared, from the weights that are named to the images that are measured."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.cli.images import Preparation, open_data
from spikewright.cli.options import DataOptions, ModelOptions
from spikewright.cli.source import preparation_of
from spikewright.data import Resize
from spikewright.decoding import decoded

torchvision = pytest.importorskip("torchvision", reason="needs the extra 'vision'")
BICUBIC = Preparation((0.5,) * 3, (0.25,) * 3, 224, Resize(256, "bicubic"))


def options(folder: Path, size: int | None = None) -> DataOptions:
    return DataOptions(data=f"imagefolder:{folder}", size=size)


def test_images_of_published_weights_are_those_of_their_transforms(tmp_path: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        for number in range(2):
            pixels = random.integers(0, 256, (240, 300, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / "cat" / f"{number}.png")
    known = preparation_of(ModelOptions(model="torchvision:regnet_x_400mf@DEFAULT"))
    kept = decoded(Preparation, json.loads(json.dumps(asdict(known))), "a saved network's note")
    weights = torchvision.models.RegNet_X_400MF_Weights.DEFAULT
    expected = weights.transforms()(Image.open(tmp_path / "test" / "cat" / "0.png"))
    for preparation in (known, kept):
        found = open_data(options(tmp_path), preparation).images.test[0][0]
        assert torch.equal(found, expected)


def test_another_size_keeps_the_same_part_of_the_picture(tmp_path: Path) -> None:
    assert BICUBIC.overruled(options(tmp_path)) == BICUBIC
    small = BICUBIC.overruled(options(tmp_path, size=112))
    assert small == replace(BICUBIC, size=112, resize=Resize(128, "bicubic"))
    assert Preparation().overruled(options(tmp_path, size=32)) == Preparation(size=32)


def test_a_note_of_before_has_no_resize() -> None:
    note = {"mean": [0.5], "std": [0.25], "size": 8}
    assert decoded(Preparation, note, "note") == Preparation((0.5,), (0.25,), 8)
