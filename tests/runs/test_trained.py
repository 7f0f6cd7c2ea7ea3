"""`run:DIR`: the network that a finished training run left, and nothing that only looks like it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spikewright.errors import ModelError
from spikewright.runs import load_model
from spikewright.training import DataRecipe, NetworkRecipe, OptimisationRecipe, Recipe, train

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

RECIPE = Recipe(
    DataRecipe("digits", mean=(0.25,), std=(0.5,), augment=()),
    NetworkRecipe("digits_cnn", levels=3),
    OptimisationRecipe(epochs=1, batch_size=512),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    train(RECIPE, tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_is_a_model(run: Path) -> None:
    model = load_model(f"run:{run}")
    stored = load_file(run / "weights.safetensors")
    assert model.state_dict().keys() == stored.keys()
    assert all(torch.equal(model.state_dict()[name], stored[name]) for name in stored)
    assert model.act1.levels == 3
    assert not model.training


def test_card_and_weights_are_enough(run: Path) -> None:
    for name in ("run.json", "checkpoint.safetensors", "metrics.jsonl"):
        (run / name).unlink()
    load_model(f"run:{run}")


def test_changed_weights_are_refused(run: Path) -> None:
    stored = load_file(run / "weights.safetensors")
    stored["linear.bias"][0] += 1
    save_file(stored, run / "weights.safetensors")
    with pytest.raises(ModelError, match=r"is not the file that .*card.json' describes"):
        load_model(f"run:{run}")
    (run / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds a card\.json, but no weights\.safetensors"):
        load_model(f"run:{run}")


def test_an_unfinished_run_and_no_run_are_told_apart(run: Path) -> None:
    (run / "card.json").unlink()
    with pytest.raises(ModelError, match="not finished: go on with spikewright train --resume"):
        load_model(f"run:{run}")
    (run / "run.json").unlink()
    with pytest.raises(ModelError, match="give the folder of a finished run"):
        load_model(f"run:{run}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda card: card.pop("validation"), "card: object missing required field validation"),
        (
            lambda card: card["validation"].pop("images"),
            "card.validation: object missing required field images",
        ),
        (
            lambda card: card["data"].update(mean=["0.5"]),
            r"card\.data\.mean\[0\]: expected float, got str",
        ),
        (lambda card: card.update(recipe={}), "card.recipe: object missing required field data"),
        (lambda card: card.update(recipe=5), "card.recipe: expected object, got int"),
        (lambda card: card.update(num_classes=True), "card.num_classes: expected int, got bool"),
        (lambda card: card.clear(), "card: object missing required field architecture"),
    ],
)
def test_what_is_no_card_is_refused(run: Path, change: Any, told: str) -> None:
    card = json.loads((run / "card.json").read_text())
    change(card)
    (run / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=f"card.json' is not the card of a training run: .*{told}"):
        load_model(f"run:{run}")


def test_nothing_can_be_given_besides(run: Path) -> None:
    with pytest.raises(
        ModelError, match=r"leave out: weights 'w\.safetensors', num_classes, or nam"
    ):
        load_model(f"run:{run}", Path("w.safetensors"), num_classes=10)
