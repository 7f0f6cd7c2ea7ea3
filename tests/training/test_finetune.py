"""Runs of fine-tuning: stopped and gone on with they end alike; what does not fit is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import Subset

import spikewright as sw
from spikewright.data import ImageData, open_dataset
from spikewright.errors import DataError, RecipeError, RunError
from spikewright.methods.finetune import DSR, Distil, FineTuning, Tandem
from spikewright.runs import load_model
from spikewright.runs.files import sha256
from spikewright.runs.fine_tuning import FineTuneFolder, FineTuneRecipe
from spikewright.runs.recipe import DataRecipe, StartRecipe
from spikewright.training.finetune import finetune
from tests.builders import accuracy, wired

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

METHODS = {
    "dsr": DSR(epochs=2, batch_size=32, learning_rate=5e-4),
    "tandem": Tandem(epochs=2, batch_size=32, patience=1),
    "distil": Distil(epochs=2, batch_size=32),
}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return open_dataset("digits")


@pytest.fixture(scope="module")
def saved(digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a converted network for two T."""
    x = torch.stack([digits.train[number][0] for number in range(64)])
    model = load_model("zoo:digits-qcfs8")
    snn = sw.convert(model, x, sw.IntegrateFire(), steps=(4, 2), correction=None)
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    snn.save(path)
    return path


def recipe(saved: Path, method: FineTuning, **changes: Any) -> FineTuneRecipe:
    start = StartRecipe(str(saved), sha256(saved))
    data = DataRecipe("digits", augment=("crop",))  # pyright: ignore[reportArgumentType]
    settings = {"steps": 4, "samples": 128, "seed": 1, **changes}
    return FineTuneRecipe(start, data, method.name, asdict(method), **settings)


class Stop(Exception):  # noqa: N818 (no error)
    """Ends a run as a kill would, between two steps."""


def stop_in(epoch: int) -> Any:
    def progress(now: int, *_: Any) -> None:
        if now == epoch:
            raise Stop

    return progress


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    method: FineTuning, saved: Path, digits: ImageData, tmp_path: Path
) -> None:
    made = recipe(saved, method)
    whole = finetune(made, tmp_path / "whole", digits)
    for epoch in (1, 2):
        with pytest.raises(Stop):
            finetune(made, tmp_path / "parts", digits, progress=stop_in(epoch))
    parts = finetune(made, tmp_path / "parts", digits)
    assert parts.network_sha256 == whole.network_sha256
    assert (parts.test, parts.best_epoch, parts.epochs) == (whole.test, whole.best_epoch, 2)
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2]


def test_the_card_tells_what_the_file_of_the_network_does(
    saved: Path, digits: ImageData, tmp_path: Path
) -> None:
    made = recipe(saved, METHODS["dsr"])
    card = finetune(made, tmp_path, digits, notes={"classes": list(digits.classes)})
    folder = FineTuneFolder(tmp_path)
    tuned, before = sw.load(folder.network), sw.load(saved)
    assert card.network_sha256 == sha256(folder.network)
    assert accuracy(tuned, digits.test) == card.test.accuracy
    assert accuracy(before, digits.test) == card.before.accuracy
    assert card.training_images == 128
    assert card.recipe.start.weights == "network.safetensors"  # without folders
    assert torch.equal(tuned.design(2).thresholds["act1"], before.design(2).thresholds["act1"])
    written = folder.card.read_bytes()
    again = finetune(made, tmp_path, digits, progress=stop_in(1))  # finished: nothing is done
    assert again == card
    assert folder.card.read_bytes() == written


def test_another_t_can_be_tuned(saved: Path, digits: ImageData, tmp_path: Path) -> None:
    card = finetune(recipe(saved, METHODS["dsr"], steps=2), str(tmp_path), digits)
    tuned, before = sw.load(FineTuneFolder(tmp_path).network), sw.load(saved)
    assert tuned.steps == card.recipe.steps == 2
    before.steps = 2
    assert accuracy(before, digits.test) == card.before.accuracy
    assert torch.equal(tuned.design(4).thresholds["act1"], before.design(4).thresholds["act1"])


def test_a_network_may_answer_more_than_its_logits(digits: ImageData, tmp_path: Path) -> None:
    layers = {"a": nn.Linear(64, 16), "b": nn.Linear(16, 10)}
    body: Any = lambda m, x: {"features": (h := m.a(x.flatten(1)).relu()), "logits": m.b(h)}  # noqa: E731
    x = torch.stack([digits.train[number][0] for number in range(64)])
    snn = sw.convert(wired(body, **layers).float(), x, sw.IntegrateFire(), steps=4, correction=None)
    snn.save(tmp_path / "network.safetensors")
    made = recipe(tmp_path / "network.safetensors", DSR(epochs=1, batch_size=32))
    card = finetune(made, tmp_path / "run", digits)
    assert FineTuneFolder(tmp_path / "run").card.is_file()
    right = [snn(x[None])["logits"].argmax().item() == label for x, label in digits.test]
    assert card.before.accuracy == sum(right) / len(right)


def test_what_does_not_fit_is_refused(saved: Path, digits: ImageData, tmp_path: Path) -> None:
    made = recipe(saved, METHODS["dsr"])
    with pytest.raises(Stop):
        finetune(made, tmp_path / "run", digits, progress=stop_in(2))
    with pytest.raises(RecipeError, match=r"another recipe:\n  seed: 1 recorded, 2 asked for"):
        finetune(replace(made, seed=2), tmp_path / "run", digits)
    with pytest.raises(DataError, match=r"samples=5000: the training split of 'digits' holds 1078"):
        finetune(replace(made, samples=5000), tmp_path / "many", digits)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunError, match=r"is not empty and holds no run\.json"):
        finetune(made, tmp_path / "other", digits)
    moved = tmp_path / "network.safetensors"
    moved.write_bytes(saved.read_bytes())
    elsewhere = replace(made, start=StartRecipe(str(moved), "0" * 64))
    with pytest.raises(RecipeError, match="has changed since the run was begun"):
        finetune(elsewhere, tmp_path / "new", digits)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "many").exists()
    with pytest.raises(RunError, match=r"holds no training run.*spikewright finetune"):
        FineTuneFolder(tmp_path / "none").read_recipe()


def test_a_recipe_that_contradicts_itself_is_refused(saved: Path) -> None:
    made = recipe(saved, METHODS["dsr"])
    with pytest.raises(RecipeError, match="dsr: epochs must be at least 1"):
        replace(made, settings={**made.settings, "epochs": 0})
    with pytest.raises(RecipeError, match=r"dsr: .*unexpected keyword argument 'patience'"):
        replace(made, settings={"patience": 3})
    with pytest.raises(RecipeError, match="steps and samples at least 1"):
        replace(made, samples=0)


def test_a_finished_run_is_not_taken_for_one_on_other_images(
    saved: Path, digits: ImageData, tmp_path: Path
) -> None:
    made = recipe(saved, Distil(epochs=1, batch_size=32))
    card = finetune(made, tmp_path, digits)
    moved = replace(made, data=replace(made.data, data="digits:elsewhere"))
    assert finetune(moved, tmp_path, digits) == card
    fewer = replace(digits, train=Subset(digits.train, range(500)))
    with pytest.raises(RecipeError, match="a run on other images than 'digits:elsewhere' has now"):
        finetune(moved, tmp_path, fewer)
