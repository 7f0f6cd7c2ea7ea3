"""Networks by description, and by the folder of a training run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from paper import source_of
from paper.network import levels_of
from spikewright.activations import QCFS
from spikewright.decoding import encoded
from spikewright.errors import ExperimentError, ModelError
from spikewright.runs.card import read_card
from spikewright.runs.zoo import zoo_folder


def test_a_description_is_read(described: dict[str, Path]) -> None:
    source = source_of(str(described["relu"]))
    assert (source.name, source.architecture, source.data) == ("relu", "DigitsCNN", "digits")
    assert source.weights == described["relu"].parent / "relu.safetensors"
    assert levels_of(source.load()) is None
    assert levels_of(source_of(str(described["qcfs"])).load()) == 4


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": "a", "model": "m:f"}, "it needs data, model, name"),
        ({"name": "a", "model": "m:f", "data": "digits", "wieghts": "x"}, "got data, model, name"),
        ([], "got none"),
        ({"name": "a/b", "model": "m:f", "data": "digits"}, "becomes a folder"),
        ({"name": "a", "model": "m:f", "data": "d", "weights": "no"}, "weights that are not there"),
        ({"name": 3, "model": "m:f", "data": "d"}, "name: expected str, got int"),
        ({"name": "a", "model": "m:f", "data": ["d"]}, "data: expected str, got array"),
        (
            {"name": "a", "model": "m:f", "data": "d", "mean": ["x"]},
            r"mean\[0\]: expected float, got str",
        ),
        (
            {"name": "a", "model": "m:f", "data": "d", "arguments": [1]},
            "arguments: expected object, got array",
        ),
        (
            {"name": "a", "model": "m:f", "data": "d", "arguments": {"weights": "w"}},
            "stand beside 'arguments'",
        ),
    ],
)
def test_a_wrong_description_is_refused(document: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ExperimentError, match=message):
        source_of(str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        source_of(str(tmp_path / "network.json"))


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelError, match="not finished"):
        source_of(f"run:{tmp_path}")


@pytest.mark.parametrize("text", ["zoo:{name}", "run:{folder}", "{folder}"])
def test_a_trained_network_is_named_in_every_form(text: str) -> None:
    folder = zoo_folder("digits-qcfs8")
    source = source_of(text.format(name=folder.name, folder=folder))
    assert (source.name, source.data) == ("digits-qcfs8", "digits")
    assert source.sha256 == read_card(folder).weights_sha256
    assert levels_of(source.load()) == 8


def test_a_trained_network_sees_images_of_the_size_it_was_trained_on(tmp_path: Path) -> None:
    card = encoded(read_card(zoo_folder("digits-qcfs8")))
    card["recipe"]["data"] |= {"data": "imagefolder", "size": 64}
    card["data"]["name"] = "imagefolder"
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert source_of(str(tmp_path)).size == 64


def test_a_name_that_the_zoo_does_not_have_is_refused() -> None:
    with pytest.raises(
        ModelError,
        match="the zoo has no 'nothing'; it has cct6-cifar10, cct6-cifar10-longer, digits-qcfs8, ",
    ):
        source_of("zoo:nothing")


def test_the_note_of_a_trained_network_tells_it_from_its_twins(tmp_path: Path) -> None:
    first = zoo_folder("digits-qcfs8")
    assert source_of(str(first)).note == (
        "trained by this library, the best epoch chosen on validation"
    )
    card = encoded(read_card(first))
    card["recipe"]["optimisation"]["decay_thresholds"] = True
    card["recipe"]["start"] = {"weights": "zoo:digits-qcfs8", "sha256": card["weights_sha256"]}
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert source_of(str(tmp_path)).note == (
        "trained by this library from zoo:digits-qcfs8, weight decay on its thresholds too, the "
        "best epoch chosen on validation"
    )
    card["recipe"]["optimisation"]["keep_last"] = True
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert source_of(str(tmp_path)).note.endswith("on its thresholds too, the last epoch")


def test_mixed_levels_are_refused() -> None:
    model = nn.Sequential(QCFS(4, 1.0), QCFS(8, 1.0))
    with pytest.raises(ExperimentError, match=r"different levels, \[4, 8\]"):
        levels_of(model)
