"""Recipes: contradictions die when they are made, and a record gives the recipe back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from spikewright.activations import ClippedReLU
from spikewright.decoding import decoded, encoded
from spikewright.errors import RecipeError, RunError
from spikewright.runs.network import make_network
from spikewright.training import (
    ActivationKind,
    Augmentation,
    DataRecipe,
    NetworkRecipe,
    OptimisationRecipe,
    OptimizerKind,
    Recipe,
    ScheduleKind,
)
from spikewright.training.optimisation import learning_rate, make_optimizer

RECIPE = Recipe(
    DataRecipe("cifar10:here", (0.5,) * 3, (0.2,) * 3, 50, (Augmentation.CUTOUT,)),
    NetworkRecipe("vgg16", ActivationKind.CLIPPED, shift_steps=4, threshold=2.0),
    OptimisationRecipe(3, optimizer=OptimizerKind.ADAMW, schedule=ScheduleKind.ONE_CYCLE),
    seed=5,
)


def test_a_recipe_comes_back_from_its_record() -> None:
    assert decoded(Recipe, json.loads(json.dumps(encoded(RECIPE))), "recipe") == RECIPE


def test_a_record_of_another_form_is_refused() -> None:
    recorded = encoded(RECIPE)
    del recorded["network"]
    with pytest.raises(RunError, match="recipe: object missing required field network"):
        decoded(Recipe, recorded, "recipe")
    changed = encoded(RECIPE)
    changed["optimisation"]["optimizer"] = "sgdd"
    with pytest.raises(RunError, match=r"optimisation\.optimizer: invalid enum value 'sgdd'"):
        decoded(Recipe, changed, "recipe")
    changed["optimisation"] |= {"optimizer": "adamw", "momentum": 0.9}
    with pytest.raises(RecipeError, match="adamw has no momentum"):
        decoded(Recipe, changed, "recipe")


def test_plain_strings_are_the_members_of_that_name() -> None:
    network = NetworkRecipe("digits_cnn", "clipped", shift_steps=4)
    assert network.activation is ActivationKind.CLIPPED
    assert NetworkRecipe("digits_cnn", activation="qcfs", levels=4).levels == 4
    data = DataRecipe("digits", augment=["flip", "cutout"])
    assert data == DataRecipe("digits", augment=(Augmentation.FLIP, Augmentation.CUTOUT))
    assert hash(data) is not None
    optimisation = OptimisationRecipe(optimizer="adamw", schedule="one-cycle")
    assert optimisation.optimizer is OptimizerKind.ADAMW
    assert optimisation.schedule is ScheduleKind.ONE_CYCLE


def test_plain_strings_train_what_they_name() -> None:
    network = make_network(NetworkRecipe("digits_cnn", "clipped"), num_classes=10, seed=0)
    assert sum(isinstance(module, ClippedReLU) for module in network.modules()) == 3
    optimisation = OptimisationRecipe(epochs=10, optimizer="adamw", schedule="one-cycle")
    assert isinstance(make_optimizer(network, optimisation), torch.optim.AdamW)
    rates = [learning_rate(optimisation, step, steps_per_epoch=1) for step in range(10)]
    assert rates.index(max(rates)) == 3


def test_the_order_of_augmentations_says_nothing() -> None:
    assert DataRecipe("digits", augment=("flip", "crop")) == DataRecipe("digits")


def test_every_difference_is_named_but_a_moved_folder_is_none() -> None:
    moved = replace(RECIPE, data=replace(RECIPE.data, data="cifar10:there"))
    assert moved.differences(RECIPE) == []
    other = replace(moved, seed=6, optimisation=replace(RECIPE.optimisation, epochs=4))
    assert other.differences(RECIPE) == [
        "optimisation.epochs: 3 recorded, 4 asked for",
        "seed: 5 recorded, 6 asked for",
    ]
    another = replace(RECIPE, data=replace(RECIPE.data, data="cifar100:here"))
    assert another.differences(RECIPE) == ["data.data: 'cifar10' recorded, 'cifar100' asked for"]


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (NetworkRecipe, {}, "qcfs needs its number of levels"),
        (
            NetworkRecipe,
            {"activation": "nonsense"},
            "unknown activation 'nonsense'; give one of qcfs, clipped, relu, gelu",
        ),
        (NetworkRecipe, {"activation": "relu", "levels": 4}, "relu has no levels"),
        (NetworkRecipe, {"levels": 0}, r"levels lies in 1 \.\. 65,536"),
        (NetworkRecipe, {"levels": 2**16 + 1}, r"levels lies in 1 \.\. 65,536"),
        (NetworkRecipe, {"activation": ActivationKind.RELU, "levels": 4}, "relu has no levels"),
        (NetworkRecipe, {"levels": 4, "shift_steps": 4}, "qcfs has no shift_steps"),
        (NetworkRecipe, {"activation": ActivationKind.RELU, "threshold": 1.0}, "relu has no thr"),
        (NetworkRecipe, {"levels": 4, "threshold": -1.0}, "threshold must be finite and above 0"),
        (
            NetworkRecipe,
            {"activation": ActivationKind.CLIPPED, "shift_steps": 0},
            r"shift_steps lies in 1 \.\. 65,536",
        ),
        (DataRecipe, {"data": "digits", "mean": (0.5,)}, "both mean and std"),
        (DataRecipe, {"data": "digits", "augment": (Augmentation.FLIP,) * 2}, "named twice"),
        (DataRecipe, {"data": "digits", "augment": ("flip", "flap")}, "augmentation 'flap'; give"),
        (DataRecipe, {"data": "digits", "augment": "crop"}, r"takes a sequence: \('crop',\)"),
        (OptimisationRecipe, {"schedule": "step"}, "unknown schedule 'step'; give one of cosine"),
        (OptimisationRecipe, {"optimizer": "adamw", "momentum": 0.9}, "adamw has no momentum"),
        (OptimisationRecipe, {"epochs": 0}, "epochs must be at least 1"),
        (OptimisationRecipe, {"batch_size": 1}, "batch_size must be at least 2"),
        (OptimisationRecipe, {"learning_rate": float("nan")}, "learning_rate must be above 0"),
        (OptimisationRecipe, {"learning_rate": 1e7}, "above 0 and at most 1e6"),
        (OptimisationRecipe, {"optimizer": OptimizerKind.ADAMW, "momentum": 0.9}, "no momentum"),
        (OptimisationRecipe, {"momentum": 1.0}, "momentum lies in 0 .. 1"),
        (OptimisationRecipe, {"weight_decay": -1e-4}, "weight_decay lies in 0 .. 1e6"),
        (OptimisationRecipe, {"weight_decay": 1e7}, "weight_decay lies in 0 .. 1e6"),
        (OptimisationRecipe, {"warmup_epochs": 120}, "warmup_epochs lies in 0 .. epochs"),
        (
            OptimisationRecipe,
            {"warmup_epochs": 1, "schedule": ScheduleKind.ONE_CYCLE},
            "one-cycle has its own warm-up",
        ),
        (OptimisationRecipe, {"label_smoothing": 1.0}, "label_smoothing lies in"),
        (OptimisationRecipe, {"ema": 1.0}, "ema lies between 0 and 1"),
        (OptimisationRecipe, {"clip_gradient": 0.0}, "clip_gradient must be finite and above 0"),
        (OptimisationRecipe, {"sparsity": -0.1}, r"sparsity lies in 0 \.\. 1e6"),
    ],
)
def test_contradictions_are_refused(part: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        part(**arguments)


@pytest.mark.parametrize("network", [{"levels": 8}, {"activation": "relu"}])
def test_spikes_of_the_binary_code_need_as_many_levels_as_its_bits_write(network: Any) -> None:
    optimisation = OptimisationRecipe(sparsity=0.1)
    Recipe(DataRecipe("digits"), NetworkRecipe(levels=7), optimisation)
    with pytest.raises(RecipeError, match=r"2\^T - 1 levels: levels=3, 7, 15"):
        Recipe(DataRecipe("digits"), NetworkRecipe(**network), optimisation)


def test_thresholds_decay_where_they_are_learned() -> None:
    optimisation = OptimisationRecipe(decay_thresholds=True)
    Recipe(DataRecipe("digits"), NetworkRecipe(activation=ActivationKind.CLIPPED), optimisation)
    with pytest.raises(RecipeError, match="relu has no threshold for decay_thresholds to pull"):
        Recipe(DataRecipe("digits"), NetworkRecipe(activation=ActivationKind.RELU), optimisation)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"epochs must be .*; ema lies between"):
        OptimisationRecipe(epochs=0, ema=2.0)
    with pytest.raises(RecipeError, match="seed must be at least 0"):
        replace(RECIPE, seed=-1)
