"""The images of an experiment: calibration images, and test images in one fixed order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Subset

from spikewright.data import ImageData, ImageDataset, calibration_subset, loader
from spikewright.data.image_data import dataset_length, permutation
from spikewright.fingerprint import fingerprint

ORDER_SEED = 1
"""Of the order of the test images, so that the first N are a fair sample of all classes."""

CALIBRATION_SEED = 0
"""Of the choice of calibration images."""

KEPT_BYTES = 1 << 30
"""Test images are kept in memory up to so many bytes, and else read again for every cell."""

FINGERPRINTED_BYTES = 1 << 27
"""Of images that tell a data set from others: all 10,000 test images of CIFAR, 222 of ImageNet."""


def ordered(dataset: ImageDataset, count: int) -> Subset[tuple[Tensor, int]]:
    """The first `count` images of the test split in the experiment's order."""
    return Subset(dataset, permutation(dataset_length(dataset), ORDER_SEED)[:count])


def calibration_images(data: ImageData, count: int) -> Subset[tuple[Tensor, int]]:
    """Images of the training split, blind to their class.

    Raises:
        DataError: when there are fewer.
    """
    return calibration_subset(data.train, count, CALIBRATION_SEED)


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


class TestImages:
    """The test split in a fixed random order: the first N of it are the same for every row.

    Args:
        dataset: the test split.
        count: how many images will be asked for at most.
        batch_size: images a batch.
    """

    __test__ = False  # pytest collects classes that are named like tests

    def __init__(self, dataset: ImageDataset, count: int, batch_size: int) -> None:
        self._subset = ordered(dataset, count)
        self._batch_size = batch_size
        self._kept: list[tuple[Tensor, Tensor]] | None = None

    def batches(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The first `count` images, `[B, C, H, W]`, with their labels, int64 `[B]`."""
        left = count
        for images, labels in self._whole() if self._kept is None else self._kept:
            if left <= 0:
                return
            yield images[:left], labels[:left]
            left -= len(images)

    def _whole(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every batch; kept when the last one has been read and they are small."""
        kept: list[tuple[Tensor, Tensor]] = []
        size = 0
        for images, labels in loader(self._subset, self._batch_size):
            labels = torch.as_tensor(labels)
            size += images.nbytes
            if size <= KEPT_BYTES:
                kept.append((images, labels))
            yield images, labels
        if size <= KEPT_BYTES:
            self._kept = kept


def calibration_batches(
    data: ImageData, count: int, batch_size: int, device: torch.device
) -> tuple[Tensor, ...]:
    """The calibration images in batches `[B, C, H, W]`.

    Raises:
        DataError: when there are fewer.
    """
    chosen = calibration_images(data, count)
    return tuple(images.to(device) for images, _ in loader(chosen, batch_size))
