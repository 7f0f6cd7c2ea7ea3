"""Training from trained weights: which they are is recorded, and nothing is taken half."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spikewright.errors import ModelError, RecipeError
from spikewright.runs import load_model
from spikewright.training import (
    ActivationKind,
    DataRecipe,
    NetworkRecipe,
    OptimisationRecipe,
    Recipe,
    RunFolder,
    start_from,
    train,
)

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

STILL = 1e-12
"""A learning rate that leaves float32 weights where they are."""
RECIPE = Recipe(
    DataRecipe("digits", augment=()),
    NetworkRecipe("digits_cnn", levels=8),
    OptimisationRecipe(epochs=1, batch_size=512, learning_rate=STILL),
)


def trained_from(weights: str, folder: Path, network: NetworkRecipe | None = None) -> Path:
    recipe = replace(RECIPE, start=start_from(weights), network=network or RECIPE.network)
    train(recipe, folder)
    return folder


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def test_training_goes_on_from_the_weights(tmp_path: Path) -> None:
    run = trained_from("zoo:digits-qcfs8", tmp_path / "run")
    start, after = load_model("zoo:digits-qcfs8").state_dict(), weights_of(run)
    for name, _ in load_model("zoo:digits-qcfs8").named_parameters():
        assert torch.equal(after[name], start[name]), name


def test_thresholds_come_along_to_other_levels(tmp_path: Path) -> None:
    fewer = NetworkRecipe("digits_cnn", levels=2)
    after = weights_of(trained_from("zoo:digits-qcfs8", tmp_path / "run", fewer))
    start = load_model("zoo:digits-qcfs8").state_dict()
    thresholds = [name for name in start if name.endswith(".threshold")]
    assert len(thresholds) >= 2
    assert all(torch.equal(after[name], start[name]) for name in thresholds)


def test_after_relu_thresholds_start_where_the_recipe_says(tmp_path: Path) -> None:
    relu = NetworkRecipe("digits_cnn", ActivationKind.RELU)
    train(replace(RECIPE, network=relu), tmp_path / "relu")
    qcfs = NetworkRecipe("digits_cnn", levels=8, threshold=3.0)
    run = trained_from(f"run:{tmp_path / 'relu'}", tmp_path / "run", qcfs)
    before, after = weights_of(tmp_path / "relu"), weights_of(run)
    assert {after[name].item() for name in after.keys() - before.keys()} == {3.0}
    assert torch.equal(after["conv1.weight"], before["conv1.weight"])


def test_images_are_prepared_otherwise_only_on_purpose(tmp_path: Path) -> None:
    shifted = replace(RECIPE, data=replace(RECIPE.data, mean=(0.6,), std=(0.2,)))
    train(shifted, tmp_path / "shifted")
    start = start_from(f"run:{tmp_path / 'shifted'}")
    with pytest.raises(RecipeError, match=r"give mean=0\.6 and std=0\.2, or what they shall be"):
        train(replace(RECIPE, start=start), tmp_path / "run")
    for data in (shifted.data, replace(RECIPE.data, mean=(0.0,), std=(1.0,))):
        train(replace(RECIPE, data=data, start=start), tmp_path / f"run{data.mean}")


def test_the_average_starts_from_the_weights_too(tmp_path: Path) -> None:
    averaged = replace(RECIPE, optimisation=replace(RECIPE.optimisation, ema=0.9))
    train(replace(averaged, start=start_from("zoo:digits-qcfs8")), tmp_path / "run")
    start = load_model("zoo:digits-qcfs8").state_dict()
    assert torch.allclose(weights_of(tmp_path / "run")["conv1.weight"], start["conv1.weight"])


def test_card_and_run_say_what_it_started_from_and_the_card_no_folder(tmp_path: Path) -> None:
    shutil.copytree(trained_from("zoo:digits-qcfs8", tmp_path / "a"), tmp_path / "moved" / "a")
    run = trained_from(f"run:{tmp_path / 'moved' / 'a'}", tmp_path / "b")
    card = json.loads((run / "card.json").read_text())
    parent = json.loads((tmp_path / "a" / "card.json").read_text())
    assert card["recipe"]["start"] == {"weights": "run:a", "sha256": parent["weights_sha256"]}
    assert str(tmp_path) not in (run / "card.json").read_text()
    load_model(f"run:{run}")
    recorded = RunFolder(run).read_recipe()
    assert recorded.start == start_from(f"run:{tmp_path / 'moved' / 'a'}")
    elsewhere = replace(recorded, start=start_from(f"run:{tmp_path / 'a'}"))
    assert elsewhere.differences(recorded) == []
    (difference,) = replace(recorded, start=None).differences(recorded)
    assert difference.startswith("start.sha256: ")


def test_a_begun_run_needs_the_weights_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    trained_from("zoo:digits-qcfs8", folder)
    file = tmp_path / "start.safetensors"
    shutil.copy(folder / "weights.safetensors", file)
    recipe = replace(RECIPE, start=start_from(str(file)))
    train(recipe, tmp_path / "run")
    file.unlink()
    (tmp_path / "run" / "card.json").unlink()
    assert train(recipe, tmp_path / "run").epochs == 1


def test_weights_that_changed_are_refused_before_a_folder_is_begun(tmp_path: Path) -> None:
    trained_from("zoo:digits-qcfs8", tmp_path / "a")
    file = tmp_path / "a" / "weights.safetensors"
    recipe = replace(RECIPE, start=start_from(str(file)))
    save_file({**load_file(file), "linear.bias": torch.zeros(10)}, file)
    with pytest.raises(RecipeError, match=r"has changed since the run was begun \(its SHA-256"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_sources_of_thresholds_are_refused(tmp_path: Path) -> None:
    network = NetworkRecipe("digits_cnn", levels=8, threshold=4.0)
    with pytest.raises(RecipeError, match="goes on from them: leave threshold=4 out"):
        trained_from("zoo:digits-qcfs8", tmp_path / "run", network)


def test_some_thresholds_without_the_others_are_refused(tmp_path: Path) -> None:
    weights = load_model("zoo:digits-qcfs8").state_dict()
    del weights["act1.threshold"]
    save_file(weights, tmp_path / "some.safetensors")
    with pytest.raises(ModelError, match=r"missing: act1\.threshold"):
        trained_from(str(tmp_path / "some.safetensors"), tmp_path / "run")


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ("nowhere.safetensors", "no weights 'nowhere.safetensors' to start from; give run:DIR"),
        ("run:nowhere", "give the folder of a finished run"),
        ("zoo:nothing", "the zoo has no 'nothing'"),
    ],
)
def test_weights_that_are_not_there(weights: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        start_from(weights)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="do not fit"):
        trained_from("zoo:digits-qcfs8", tmp_path / "run", NetworkRecipe("vgg16", levels=8))
