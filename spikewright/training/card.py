"""The card that goes with trained weights: what they are, how they came about, how good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikewright.analysis.statistics import wilson_interval
from spikewright.data.image_data import dataset_length
from spikewright.training.evaluate import Score
from spikewright.training.files import sha256
from spikewright.training.recipe import recipe_from
from spikewright.training.run_folder import RunFolder, versions
from spikewright.training.trainer import Trainer

SPLITS = ("validation", "test")
"""The splits that a card tells the accuracy on."""


def make_card(trainer: Trainer, run: RunFolder, test: Score, test_images: int) -> dict[str, Any]:
    """The card of a finished run, as plain JSON values; it names no folder of this machine.

    Args:
        trainer: after its last epoch.
        run: with its weights written.
        test: of these weights on the test split.
        test_images: how many images that split has.

    Raises:
        ValueError: if the test did not count every image once.
    """
    if test.images != test_images:
        raise ValueError(f"{test.images} of {test_images} test images were counted")
    recipe, data, state = trainer.recipe, trainer.data, trainer.state
    best = state.best_epoch
    validation_images = dataset_length(data.validation)
    asked = recipe.to_dict()
    asked["data"]["data"] = data.name
    if recipe.start is not None:
        asked["start"]["weights"] = _nameless(recipe.start.weights)
    return {
        "architecture": recipe.network.model,
        "num_classes": len(data.classes),
        "recipe": asked,
        "data": {
            "name": data.name,
            "classes": list(data.classes),
            "training_images": dataset_length(data.train),
            "mean": trainer.augmenter.mean.flatten().tolist(),
            "std": trainer.augmenter.std.flatten().tolist(),
        },
        "epochs": len(state.history),
        "best_epoch": best.epoch,
        "validation": _accuracy(
            round(best.validation_accuracy * validation_images), validation_images
        ),
        "test": _accuracy(test.right, test.images),
        "training_seconds": sum(metrics.seconds for metrics in state.history),
        "weights_sha256": sha256(run.weights),
        "processes": trainer.processes.count,
        "versions": versions(),
    }


def card_problems(card: Mapping[str, Any]) -> list[str]:
    """What a card lacks, and where it contradicts itself; empty if it can be believed.

    Args:
        card: with what `read_card` asks for.

    Raises:
        RecipeError: if its recipe is of another version's form.
    """
    needed = {"architecture", "epochs", "best_epoch", "versions", *SPLITS}
    lacking = sorted(needed - card.keys())
    if lacking:
        return [f"it lacks {', '.join(lacking)}"]
    problems: list[str] = []
    recipe = recipe_from(card["recipe"])
    if recipe.network.model != card["architecture"]:
        problems.append(f"recipe of {recipe.network.model}, weights of {card['architecture']}")
    if recipe.data.data != card["data"]["name"]:
        problems.append(f"recipe on {recipe.data.data}, trained on {card['data']['name']}")
    for split in SPLITS:
        told = card[split]
        if told != _accuracy(told["right"], told["images"]):
            problems.append(f"{split}: accuracy and interval are not those of its counts")
    return problems


def _nameless(weights: str) -> str:
    """The name of weights without the folders of this machine: `run:NAME`, `zoo:NAME` or `FILE`."""
    source, colon, path = weights.rpartition(":")
    return f"{source}{colon}{Path(path).name}"


def _accuracy(right: int, images: int) -> dict[str, Any]:
    return {
        "right": right,
        "images": images,
        "accuracy": right / images,
        "wilson_95": list(wilson_interval(right, images)),
    }
