"""The zoo: what ships is what its cards say; what contradicts itself does not get in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from spikewright.data import loader, open_dataset
from spikewright.errors import ModelError
from spikewright.runs import load_model, zoo
from spikewright.runs.card import read_card
from spikewright.runs.files import sha256
from spikewright.runs.zoo import LARGEST_BYTES, ZOO, add_to_zoo, zoo_entries
from spikewright.training import DataRecipe, NetworkRecipe, OptimisationRecipe, Recipe, train

pytest.importorskip("sklearn", reason="needs the extra 'digits'")

RECIPE = Recipe(
    DataRecipe("digits", augment=()),
    NetworkRecipe("digits_cnn", levels=3),
    OptimisationRecipe(epochs=1, batch_size=512),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "run"
    train(RECIPE, folder)
    return folder


def changed(run: Path, folder: Path, change: Any) -> Path:
    """A copy of a run whose card was changed."""
    folder.mkdir()
    for name in ("weights.safetensors", "held_out.safetensors"):
        shutil.copy(run / name, folder)
    card = json.loads((run / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_every_entry_is_what_its_card_says() -> None:
    entries = zoo_entries()
    assert "digits-qcfs8" in [entry.name for entry in entries]
    assert sum(entry.size_bytes for entry in entries) <= LARGEST_BYTES
    for entry in entries:
        assert sorted(f.name for f in entry.folder.iterdir()) == [
            "card.json",
            "held_out.safetensors",
            "weights.safetensors",
        ]
        assert sha256(entry.folder / "weights.safetensors") == entry.card.weights_sha256
        assert not load_model(f"zoo:{entry.name}").training


def test_what_an_entry_started_from_is_an_entry_too() -> None:
    cards = [entry.card for entry in zoo_entries()]
    starts = {card.recipe.start.sha256 for card in cards if card.recipe.start}
    assert len(starts) >= 2
    assert starts <= {card.weights_sha256 for card in cards}


def test_the_digits_are_told_apart_as_often_as_the_card_says() -> None:
    model = load_model("zoo:digits-qcfs8")
    card = read_card(ZOO / "digits-qcfs8")
    data = open_dataset("digits", mean=card.data.mean, std=card.data.std)
    right = 0
    with torch.no_grad():
        for images, labels in loader(data.test, 250):
            right += int((model(images).argmax(1) == labels).sum())
    assert right == card.test.right


def test_a_finished_run_is_added(run: Path, tmp_path: Path) -> None:
    entry = add_to_zoo(run, "digits-3", tmp_path)
    assert [e.name for e in zoo_entries(tmp_path)] == ["digits-3"]
    assert sorted(f.name for f in entry.folder.iterdir()) == [
        "card.json",
        "held_out.safetensors",
        "weights.safetensors",
    ]
    assert zoo.zoo_folder("digits-3", tmp_path) == tmp_path / "digits-3"
    with pytest.raises(ModelError, match="there is a 'digits-3' already"):
        add_to_zoo(run, "digits-3", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("versions"), "card: object missing required field versions"),
        (lambda card: card.update(weights_sha256="0"), "its SHA-256 differs"),
    ],
)
def test_a_card_that_does_not_hold_is_refused(
    run: Path, tmp_path: Path, change: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        add_to_zoo(changed(run, tmp_path / "run", change), "new", tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_other_refusals(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="small letters, digits and '-' only"):
        add_to_zoo(run, "../digits", tmp_path)
    with pytest.raises(ModelError, match=r"there is no .*card\.json"):
        add_to_zoo(tmp_path, "new", tmp_path)
    monkeypatch.setattr(zoo, "LARGEST_BYTES", 1000)
    with pytest.raises(ModelError, match="at most 1,000 may ship"):
        add_to_zoo(run, "new", tmp_path)
    with pytest.raises(
        ModelError,
        match="the zoo has no 'nothing'; it has cct6-cifar10, cct6-cifar10-longer, digits-qcfs8",
    ):
        load_model("zoo:nothing")
    with pytest.raises(ModelError, match="with its own weights and arguments; leave out: width"):
        load_model("zoo:digits-qcfs8", width=3)
