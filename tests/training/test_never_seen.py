"""Fine-tuning chooses on images that its network never saw, and says so where nobody knows."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import Subset

import spikewright as sw
from spikewright.data import ImageData, open_dataset
from spikewright.errors import RecipeError
from spikewright.fingerprint import fingerprint
from spikewright.methods.finetune import DSR
from spikewright.runs import load_model
from spikewright.runs.files import sha256
from spikewright.runs.fine_tuning import FineTuneCard, FineTuneFolder, FineTuneRecipe
from spikewright.runs.recipe import DataRecipe, StartRecipe
from spikewright.runs.run_folder import RunFolder
from spikewright.runs.zoo import zoo_folder
from spikewright.training.finetune import finetune
from spikewright.training.never_seen import NeverSeen
from spikewright.training.splits import Splits
from tests.builders import in_another_layout

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

ZOO = zoo_folder("digits-qcfs8")


@pytest.fixture(scope="module")
def digits() -> ImageData:
    """The digits in another layout: the validation split is of images that the zoo trained on."""
    return in_another_layout(open_dataset("digits"))


@pytest.fixture(scope="module")
def snn(digits: ImageData) -> sw.SpikingNetwork:
    x = torch.stack([digits.train[number][0] for number in range(64)])
    return sw.methods.QCFS.convert(load_model("zoo:digits-qcfs8"), x, steps=2)


def notes(model: str = "zoo:digits-qcfs8", weights: str | None = None) -> dict[str, Any]:
    """As `spikewright convert` leaves them."""
    found = weights or fingerprint(load_model("zoo:digits-qcfs8").state_dict())
    return {"model": model, "inputs": {"model": found}}


def tuned(
    snn: sw.SpikingNetwork | Path,
    digits: ImageData,
    folder: Path,
    told: dict[str, Any],
    validation: int | None = None,
) -> FineTuneCard:
    """A run of fine-tuning in `folder`/run, from a network with these notes or a file."""
    path = snn if isinstance(snn, Path) else folder / "network.safetensors"
    if not isinstance(snn, Path):
        snn.save(path, notes=told)
    method = DSR(epochs=1, batch_size=64)
    data = DataRecipe("digits", augment=(), validation=validation)
    start = StartRecipe(str(path), sha256(path))
    recipe = FineTuneRecipe(start, data, "dsr", asdict(method), steps=2, samples=64)
    return finetune(recipe, folder / "run", digits, notes=told)


def held_out(folder: Path) -> set[int]:
    return set(load_file(RunFolder(folder).held_out)["held_out"].tolist())


def test_what_the_zoo_held_out_chooses(
    snn: sw.SpikingNetwork, digits: ImageData, tmp_path: Path
) -> None:
    card = tuned(snn, digits, tmp_path, notes())
    assert held_out(tmp_path / "run") == held_out(ZOO)
    assert card.may_be_seen is None
    assert card.validation.images == len(held_out(ZOO))


def test_what_a_run_held_out_chooses_if_its_weights_are_still_the_same(
    snn: sw.SpikingNetwork, digits: ImageData, tmp_path: Path
) -> None:
    run = tmp_path / "trained"
    shutil.copytree(ZOO, run)
    model = f"run:{run}"
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    assert tuned(snn, digits, tmp_path / "first", notes(model)).may_be_seen is None
    assert held_out(tmp_path / "first" / "run") == held_out(ZOO)
    card = tuned(snn, digits, tmp_path / "second", notes(model, "of others"))
    assert card.may_be_seen == f"'{model}' has other weights than when it was converted"
    RunFolder(run).held_out.unlink()
    card = tuned(snn, digits, tmp_path / "third", notes(model))
    assert "is not known" in (card.may_be_seen or "")
    own = Splits.read(digits)
    assert held_out(tmp_path / "third" / "run") == set(own.keys[own.validation].tolist())


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "its file does not say what it was converted from"),
        (notes("package:factory"), "'package:factory' keeps no list of images that it never saw"),
        (notes("run:nowhere"), "there is no 'nowhere/card.json'"),
        (notes("zoo:nothing"), "the zoo has no 'nothing'"),
    ],
)
def test_it_is_told_where_nobody_knows(
    snn: sw.SpikingNetwork, digits: ImageData, tmp_path: Path, told: dict[str, Any], why: str
) -> None:
    card = tuned(snn, digits, tmp_path, told)
    assert card.may_be_seen is not None
    assert card.may_be_seen.startswith(why)
    own = Splits.read(digits)
    assert held_out(tmp_path / "run") == set(own.keys[own.validation].tolist())


def test_a_fine_tuned_network_is_tuned_again_on_what_neither_run_saw(
    snn: sw.SpikingNetwork, digits: ImageData, tmp_path: Path
) -> None:
    tuned(snn, digits, tmp_path, notes(), validation=40)
    chosen, first = held_out(tmp_path / "run"), FineTuneFolder(tmp_path / "run").network
    assert len(chosen) == 40
    assert chosen < held_out(ZOO)
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
    assert tuned(first, digits, tmp_path / "second", notes()).may_be_seen is None
    assert held_out(tmp_path / "second" / "run") == chosen
    moved = tmp_path / "third" / "network.safetensors"
    shutil.copy(first, moved)
    card = tuned(moved, digits, tmp_path / "third", notes())
    assert (card.may_be_seen or "").startswith(f"there is no '{tmp_path / 'third' / 'card.json'}'")


def test_more_images_than_the_zoo_held_out_are_refused(
    snn: sw.SpikingNetwork, digits: ImageData, tmp_path: Path
) -> None:
    count = len(held_out(ZOO))
    with pytest.raises(RecipeError, match=f"hold out at most the {count} that it held out"):
        tuned(snn, digits, tmp_path, notes(), validation=count + 1)
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_other_images(
    snn: sw.SpikingNetwork, digits: ImageData, tmp_path: Path
) -> None:
    tuned(snn, digits, tmp_path, notes())
    FineTuneFolder(tmp_path / "run").card.unlink()
    fewer = replace(digits, train=Subset(digits.train, range(100)))
    with pytest.raises(RecipeError, match=r"holds a run on other images than 'digits' has now"):
        tuned(tmp_path / "network.safetensors", fewer, tmp_path, notes())


def test_a_list_of_images_that_is_missing_is_called_missing(tmp_path: Path) -> None:
    shutil.copytree(ZOO, tmp_path / "run")
    (tmp_path / "run" / "held_out.safetensors").unlink()
    with pytest.raises(
        RecipeError, match=r"not known: '.*held_out\.safetensors' is not there; give"
    ):
        NeverSeen.by(f"run:{tmp_path / 'run'}")
