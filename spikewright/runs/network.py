"""The network part of a recipe is built with random weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from spikewright.activations import QCFS, ClippedReLU
from spikewright.errors import RecipeError
from spikewright.models.architectures import ARCHITECTURES
from spikewright.runs.kinds import ActivationKind
from spikewright.runs.recipe import NetworkRecipe
from spikewright.seeding import seeded

DEFAULT_THRESHOLD = 8.0
"""Lambda at the start, in QCFS's reference implementation."""


def make_network(recipe: NetworkRecipe, num_classes: int, seed: int) -> nn.Module:
    """Make a network of a recipe, in training mode.

    Args:
        recipe: the network part of a recipe.
        num_classes: the number of logits.
        seed: the seed of the random weights.

    Raises:
        RecipeError: if the architecture is unknown.
    """
    factory = ARCHITECTURES.get(recipe.model)
    if factory is None:
        raise RecipeError(
            f"unknown architecture '{recipe.model}'; give one of {', '.join(ARCHITECTURES)}"
        )
    with seeded(seed):
        return factory(num_classes=num_classes, activation=activation_factory(recipe))


def require_fit(model: nn.Module, name: str, shape: tuple[int, int, int]) -> None:
    """See that a network takes images; it is left as it was.

    Args:
        model: on the CPU.
        name: the name of its architecture.
        shape: (C, H, W) of the images.

    Raises:
        RecipeError: if not.
    """
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(2, *shape))
    except RuntimeError as error:
        reason, size = " ".join(str(error).split()), " x ".join(map(str, shape))
        raise RecipeError(
            f"{name} does not take images of {size} ({reason}); give another architecture or size"
        ) from error
    finally:
        model.train(training)


def activation_factory(recipe: NetworkRecipe) -> Callable[[], nn.Module]:
    """What makes one activation module of a recipe."""
    threshold = DEFAULT_THRESHOLD if recipe.threshold is None else recipe.threshold
    levels = recipe.levels
    if recipe.activation is ActivationKind.QCFS and levels is not None:
        return lambda: QCFS(levels, threshold)
    if recipe.activation is ActivationKind.CLIPPED:
        return lambda: ClippedReLU(threshold, recipe.shift_steps)
    return nn.GELU if recipe.activation is ActivationKind.GELU else nn.ReLU
