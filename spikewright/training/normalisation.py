"""What training subtracts from pixels and divides them by."""

from __future__ import annotations

from spikewright.data import ImageData
from spikewright.data.preprocessing import normalisation
from spikewright.runs.recipe import DataRecipe

KNOWN = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
"""Mean and standard deviation of each channel over the training set, pixels in 0 .. 1."""


def channel_statistics(
    recipe: DataRecipe, data: ImageData
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation of each channel that a recipe normalises by.

    Raises:
        DataError: if those given do not fit the number of channels.
    """
    channels = data.image_shape[0]
    given = normalisation(recipe.mean, recipe.std, channels)
    if given is not None:
        return given.mean, given.std
    return KNOWN.get(data.name, ((0.0,) * channels, (1.0,) * channels))
