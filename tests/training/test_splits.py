"""What a run holds out stays held out: when it goes on, and when another starts from it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from spikewright.data import ImageData, open_dataset
from spikewright.errors import RecipeError, RunError
from spikewright.runs.card import read_card
from spikewright.runs.zoo import zoo_entries
from spikewright.training import (
    DataRecipe,
    NetworkRecipe,
    OptimisationRecipe,
    Recipe,
    RunFolder,
    start_from,
    train,
)
from spikewright.training.splits import Splits, image_keys

HELD_OUT = 30
RECIPE = Recipe(
    DataRecipe("imagefolder:here", augment=()),
    NetworkRecipe("digits_cnn", levels=4),
    OptimisationRecipe(epochs=2, batch_size=16, learning_rate=0.01),
)


def pictures(seed: int, count: int = 120) -> tuple[Tensor, Tensor]:
    """Random images of 256 grey levels, [count, 1, 8, 8], and labels of two classes."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 1, 8, 8), generator=generator) / 255
    return images, torch.arange(count) % 2


def laid_out(order: Sequence[int], seed: int = 1, *, apart: bool = False) -> ImageData:
    """The pictures in that order, the last ones held out of the others, or given apart."""
    images, labels = (part[torch.tensor(order)] for part in pictures(seed, len(order)))
    kept, held = range(len(order) - HELD_OUT), range(len(order) - HELD_OUT, len(order))
    source = TensorDataset(images, labels)
    parts = [Subset(source, kept), Subset(source, held)]
    if apart:
        parts = [TensorDataset(*source[list(part.indices)]) for part in parts]
    test = TensorDataset(*pictures(99, 20))
    return ImageData("imagefolder", *parts, test, ("a", "b"), (1, 8, 8))  # type: ignore[arg-type]


FORTH, BACK = range(120), range(119, -1, -1)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits") / "first"
    train(RECIPE, folder, data=laid_out(FORTH))
    return folder


def validation_keys(data: ImageData) -> Tensor:
    splits = Splits.read(data)
    return splits.keys[splits.validation]


def held_out(folder: Path) -> set[int]:
    return set(load_file(RunFolder(folder).held_out)["held_out"].tolist())


def after(first: Path, validation: int | None = None, size: int | None = None) -> Recipe:
    data = replace(RECIPE.data, validation=validation, size=size)
    return replace(RECIPE, data=data, start=start_from(f"run:{first}"))


def test_keys_are_those_of_the_pixels() -> None:
    images, _ = pictures(0)
    keys = image_keys(images, bounded=True)
    assert len(set(keys.tolist())) == len(images)
    assert torch.equal(image_keys((images * 255).round().to(torch.uint8), bounded=True), keys)
    assert torch.equal(image_keys(images.flip(0), bounded=True), keys.flip(0))
    assert not torch.isin(image_keys(3 * images, bounded=False), keys).any()


def test_a_run_says_what_it_held_out(first: Path) -> None:
    assert held_out(first) == set(image_keys(pictures(1)[0][-HELD_OUT:], bounded=True).tolist())


@pytest.mark.parametrize("order", [FORTH, BACK], ids=["forth", "back"])
def test_what_the_start_held_out_is_held_out_again(
    first: Path, order: Sequence[int], tmp_path: Path
) -> None:
    card = train(after(first), tmp_path / "second", data=laid_out(order))
    assert held_out(tmp_path / "second") == held_out(first)
    assert (card.data.training_images, card.validation.images) == (90, HELD_OUT)


def test_or_as_many_of_them_as_are_asked_for(first: Path, tmp_path: Path) -> None:
    card = train(after(first, validation=12), tmp_path / "second", data=laid_out(BACK))
    assert held_out(tmp_path / "second") < held_out(first)
    assert (card.data.training_images, card.validation.images) == (108, 12)


def test_more_of_them_are_refused(first: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"hold out at most the 30 .* validation=30"):
        train(after(first, validation=31), tmp_path / "second", data=laid_out(BACK))
    assert not (tmp_path / "second").exists()


def test_a_data_set_that_grew_trains_on_what_is_new(first: Path, tmp_path: Path) -> None:
    images, labels = (torch.cat(pair) for pair in zip(pictures(2, 10), pictures(1), strict=True))
    source = TensorDataset(images, labels)
    parts = (Subset(source, range(35, 130)), Subset(source, range(35)))
    grown = replace(laid_out(FORTH), train=parts[0], validation=parts[1])  # type: ignore[arg-type]
    card = train(after(first), tmp_path / "second", data=grown)
    assert held_out(tmp_path / "second") == held_out(first)
    assert card.data.training_images == 100


def test_other_images_keep_their_own_split(first: Path, tmp_path: Path) -> None:
    other = laid_out(FORTH, seed=2)
    card = train(after(first), tmp_path / "second", data=other)
    own = set(validation_keys(other).tolist())
    assert held_out(tmp_path / "second") == own | held_out(first)
    assert card.validation.images == len(own)


def test_what_the_first_of_several_held_out_is_not_forgotten(first: Path, tmp_path: Path) -> None:
    other = laid_out(FORTH, seed=2)
    train(after(first), tmp_path / "second", data=other)
    train(after(tmp_path / "second"), tmp_path / "third", data=laid_out(BACK))
    assert held_out(tmp_path / "third") >= held_out(first)
    assert read_card(tmp_path / "third").validation.images == HELD_OUT
    train(after(tmp_path / "third"), tmp_path / "fourth", data=other)
    assert held_out(tmp_path / "fourth") == held_out(tmp_path / "second")


def test_validation_images_given_apart_are_not_moved(first: Path, tmp_path: Path) -> None:
    train(after(first), tmp_path / "same", data=laid_out(FORTH, apart=True))
    assert held_out(tmp_path / "same") == held_out(first)
    with pytest.raises(RecipeError, match="may have been trained on some of the 30 images that"):
        train(after(first), tmp_path / "second", data=laid_out(BACK, apart=True))


def test_a_data_set_that_shares_few_images_is_refused(first: Path, tmp_path: Path) -> None:
    images, labels = pictures(2)
    images[7] = pictures(1)[0][-1]
    source = TensorDataset(images, labels)
    parts = (Subset(source, range(90)), Subset(source, range(90, 120)))
    shared = replace(laid_out(FORTH), train=parts[0], validation=parts[1])  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="1 of those that it held out are here, so the two sets"):
        train(after(first), tmp_path / "second", data=shared)
    assert not (tmp_path / "second").exists()


def test_a_start_that_does_not_tell_is_refused(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "start")
    RunFolder(tmp_path / "start").held_out.unlink()
    with pytest.raises(RecipeError, match=r"is not known: '.*held_out\.safetensors'"):
        train(after(tmp_path / "start"), tmp_path / "second", data=laid_out(FORTH))
    with pytest.raises(RecipeError, match="its images were brought to another size"):
        train(after(first, size=9), tmp_path / "second", data=laid_out(FORTH, seed=2))
    train(after(first, size=8), tmp_path / "as they were", data=laid_out(FORTH))
    weights = replace(RECIPE, start=start_from(str(RunFolder(tmp_path / "start").weights)))
    train(weights, tmp_path / "second", data=laid_out(BACK))


class StoppedError(Exception):
    """Stands for a process that dies."""


def stop(epoch: int, epochs: int, done: int, steps: int, metrics: object) -> None:
    if epoch == 2:
        raise StoppedError


@pytest.mark.parametrize("order", [FORTH, BACK], ids=["forth", "back"])
def test_a_stopped_run_goes_on_with_what_it_held_out(
    first: Path, order: Sequence[int], tmp_path: Path
) -> None:
    recipe, data = after(first), laid_out(order)
    train(recipe, tmp_path / "whole", data=data)
    with pytest.raises(StoppedError):
        train(recipe, tmp_path / "stopped", data=data, progress=stop)
    train(recipe, tmp_path / "stopped", data=data)
    whole, stopped = (read_card(tmp_path / name) for name in ("whole", "stopped"))
    assert stopped.weights_sha256 == whole.weights_sha256


def test_a_stopped_run_that_lost_the_file_finds_the_same_again(first: Path, tmp_path: Path) -> None:
    recipe, data, run = after(first), laid_out(BACK), RunFolder(tmp_path / "run")
    with pytest.raises(StoppedError):
        train(recipe, run.path, data=data, progress=stop)
    run.held_out.unlink()
    train(recipe, run.path, data=data)
    assert held_out(run.path) == held_out(first)


def test_a_file_that_does_not_tell_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(StoppedError):
        train(RECIPE, run.path, data=laid_out(FORTH), progress=stop)
    save_file({"other": torch.zeros(3)}, run.held_out)
    with pytest.raises(RunError, match=r"held_out\.safetensors' does not tell which images"):
        train(RECIPE, run.path, data=laid_out(FORTH))


def test_a_stopped_run_does_not_go_on_with_other_images(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(RECIPE, tmp_path / "run", data=laid_out(FORTH), progress=stop)
    moved = replace(RECIPE, data=replace(RECIPE.data, data="imagefolder:elsewhere"))
    for other in (laid_out(FORTH, seed=2), laid_out(BACK)):
        with pytest.raises(RecipeError, match=r"other images than 'imagefolder:elsewhere' has now"):
            train(moved, tmp_path / "run", data=other)
    assert train(moved, tmp_path / "run", data=laid_out(FORTH)).epochs == 2


def test_a_finished_run_is_not_given_for_other_images(first: Path) -> None:
    moved = replace(RECIPE, data=replace(RECIPE.data, data="imagefolder:elsewhere"))
    with pytest.raises(RecipeError, match="give those that 'imagefolder:here' held when it"):
        train(moved, first, data=laid_out(FORTH, seed=2))
    assert train(moved, first, data=laid_out(FORTH)) == read_card(first)


def test_every_network_of_the_zoo_says_what_it_held_out() -> None:
    for entry in zoo_entries():
        keys = load_file(RunFolder(entry.folder).held_out)["held_out"]
        assert len(keys) >= entry.card.validation.images, entry.name
        if entry.name == "digits-qcfs8":
            pytest.importorskip("sklearn", reason="needs the extra 'digits'")
            assert torch.equal(keys, validation_keys(open_dataset("digits")))
