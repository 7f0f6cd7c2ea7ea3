"""The images of an experiment: calibration images, and test images in one fixed order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Subset

from spikewright.data import ImageData, ImageDataset, calibration_subset, loader
from spikewright.data.image_data import dataset_length, permutation
from spikewright.fingerprint import fingerprint
from spikewright.measure.answers import Batches
from spikewright.measure.batches import Block

ORDER_SEED = 1
"""The seed of the order of the test images: the first N are a fair sample of all classes."""

CALIBRATION_SEED = 0
"""The seed of the choice of calibration images."""

FINGERPRINTED_BYTES = 1 << 27
"""The bytes of images that identify a data set: 10,000 test images of CIFAR, 222 of ImageNet."""


def ordered(dataset: ImageDataset, count: int) -> Subset[tuple[Tensor, int]]:
    """The first `count` images of the test split in the experiment's order."""
    return Subset(dataset, permutation(dataset_length(dataset), ORDER_SEED)[:count])


def calibration_images(
    data: ImageData, count: int, seed: int = CALIBRATION_SEED
) -> Subset[tuple[Tensor, int]]:
    """Images of the training split, blind to their class.

    Raises:
        DataError: when there are fewer.
    """
    return calibration_subset(data.train, count, seed)


def images_sha256(dataset: ImageDataset) -> str:
    """SHA-256 of images as a network sees them, and of their labels, whatever the batches.

    Of a large data set only the first `FINGERPRINTED_BYTES` are read.

    Raises:
        DataError: for a picture that cannot be read.
    """
    fitting = max(1, FINGERPRINTED_BYTES // dataset[0][0].nbytes)
    read = (dataset[index] for index in range(min(fitting, dataset_length(dataset))))
    images, labels = zip(*read, strict=True)
    return fingerprint({"images": torch.stack(images), "labels": torch.tensor(labels)})


def images_in_order(dataset: ImageDataset, count: int, batch_size: int) -> Block:
    """Batches of the first `count` images in the experiment's order, kept in memory if they fit."""
    subset = ordered(dataset, count)
    return Block(0, lambda: loader(subset, batch_size), dataset[0][0].ndim)


def first(batches: Batches, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The first `count` images of batches, `[B, C, H, W]`, with their labels, int64 `[B]`."""
    left = count
    for images, labels in batches:
        if left <= 0:
            return
        yield images[:left], labels[:left]
        left -= len(images)


def calibration_batches(
    data: ImageData,
    count: int,
    batch_size: int,
    device: torch.device,
    seed: int = CALIBRATION_SEED,
) -> tuple[Tensor, ...]:
    """The calibration images in batches `[B, C, H, W]`.

    Raises:
        DataError: when there are fewer.
    """
    chosen = calibration_images(data, count, seed)
    return tuple(images.to(device) for images, _ in loader(chosen, batch_size))
