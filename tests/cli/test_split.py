"""A validation split to measure on is of images that the network never saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spikewright.artefact import describe
from spikewright.cli.commands.convert import NETWORK_FILE
from spikewright.cli.commands.evaluate import _never_seen, open_for
from spikewright.cli.images import Preparation, open_data
from spikewright.cli.options import ConversionOptions, DataOptions, ModelOptions, Split
from spikewright.cli.parse import neuron_of
from spikewright.cli.source import Source, open_source
from spikewright.data import ImageData, open_dataset
from spikewright.data.in_memory import in_memory
from spikewright.network import load
from spikewright.training.never_seen import NeverSeen
from spikewright.training.splits import image_keys
from tests.builders import in_another_layout

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

NETWORK, DATA = "zoo:digits-qcfs8", DataOptions("digits")


def keys(images: Any) -> set[int]:
    return set(image_keys(in_memory(images).images, bounded=True).tolist())


@pytest.fixture
def other_layout(monkeypatch: pytest.MonkeyPatch) -> ImageData:
    """The digits, whose validation split is of images that the zoo's network was trained on."""
    moved = in_another_layout(open_dataset("digits"))
    opens: Callable[..., ImageData] = lambda spec, **_: moved  # noqa: E731
    monkeypatch.setattr("spikewright.cli.images.open_dataset", opens)
    monkeypatch.setattr("spikewright.training.splits.open_dataset", opens)
    return moved


@pytest.fixture
def held_out() -> set[int]:
    never_seen = NeverSeen.by(NETWORK)
    assert never_seen is not None
    return set(never_seen.keys.tolist())


def opened(split: Split) -> Source:
    conversion = ConversionOptions(calibration_samples=16)
    return open_source(ModelOptions(NETWORK), DATA, conversion, split=split)


def test_a_trained_network_is_measured_on_what_its_run_held_out(
    other_layout: ImageData, held_out: set[int]
) -> None:
    assert not keys(other_layout.validation) & held_out
    images = opened(Split.VALIDATION).data.images
    assert keys(images.validation) == held_out
    assert not keys(images.train) & held_out
    assert images.test is other_layout.test


def test_the_test_split_leaves_the_data_as_they_are(other_layout: ImageData) -> None:
    assert opened(Split.TEST).data.images is other_layout


def test_a_split_that_is_apart_already_stays(held_out: set[int]) -> None:
    never_seen = NeverSeen.by(NETWORK)
    images = open_data(DATA, Preparation(), never_seen=never_seen).images
    plain = open_dataset("digits")
    assert torch.equal(stacked(images), stacked(plain))
    assert keys(images.validation) == held_out


def stacked(data: ImageData) -> Tensor:
    return in_memory(data.train, data.validation).images


def test_a_saved_network_is_measured_on_what_its_model_held_out(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    other_layout: ImageData,
    held_out: set[int],
) -> None:
    file = tmp_path / NETWORK_FILE
    code, _, errors = run(
        "convert", NETWORK, "--data", "digits", "--steps", "2", "--output", str(tmp_path)
    )
    assert code == 0, errors
    description = describe(file)
    never_seen = _never_seen(file, description.sha256)
    data = open_for(load(file), description.notes, DATA, never_seen=never_seen)
    assert keys(data.images.validation) == held_out


def test_a_saved_network_of_another_model_says_that_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "network.safetensors"
    opened(Split.TEST).convert(neuron_of("nearest"), (2,), ConversionOptions()).save(file)
    assert _never_seen(file, describe(file).sha256) is None
    assert "it was trained on is not known: its file does not say" in capsys.readouterr().err
