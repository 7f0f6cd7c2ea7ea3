"""The 1,797 handwritten digits that come with scikit-learn: real data that needs no download."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.image_data import ImageData, ImageDataset, permutation
from spikewright.data.preprocessing import Normalisation
from spikewright.extras import require_extra

SPLIT_SEED = 20250713
VALIDATION_FRACTION = 0.15
TEST_FRACTION = 0.25
INK_LEVELS = 16
"""The darkest value in scikit-learn's digits, which count the dark pixels of a 4 x 4 block."""


class _LabelledImages(Dataset[tuple[Tensor, int]]):
    """Images [N, C, H, W] and labels [N] in memory, giving labels as plain integers."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self._images = images
        self._labels: list[int] = labels.tolist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._images[index], self._labels[index]


def open_digits(normalise: Normalisation | None = None) -> ImageData:
    """Open the digits: 1 x 8 x 8, pixels in 0 .. 1, ten classes.

    The split is fixed and stratified: of each class 25 % are for testing, 15 % for validation
    and the rest for training.

    Raises:
        MissingExtra: if scikit-learn is not installed.
    """
    sklearn = require_extra("sklearn.datasets", "digits", "the data set 'digits'")
    bunch = sklearn.load_digits()
    images = torch.as_tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / INK_LEVELS
    labels = torch.as_tensor(bunch.target, dtype=torch.int64)
    if normalise is not None:
        images = normalise(images)
    train, validation, test = _stratified(labels)

    def split(indices: list[int]) -> ImageDataset:
        return _LabelledImages(images[indices], labels[indices])

    return ImageData(
        name="digits",
        train=split(train),
        validation=split(validation),
        test=split(test),
        classes=tuple(str(name) for name in bunch.target_names),
        image_shape=(1, 8, 8),
    )


def _stratified(labels: Tensor) -> tuple[list[int], list[int], list[int]]:
    """Split the indices of `labels` [N] class by class into (train, validation, test)."""
    train: list[int] = []
    validation: list[int] = []
    test: list[int] = []
    for label in labels.unique().tolist():
        members: list[int] = (labels == label).nonzero().flatten().tolist()
        shuffled = [members[i] for i in permutation(len(members), SPLIT_SEED + label)]
        first = round(TEST_FRACTION * len(shuffled))
        second = first + round(VALIDATION_FRACTION * len(shuffled))
        test += shuffled[:first]
        validation += shuffled[first:second]
        train += shuffled[second:]
    return sorted(train), sorted(validation), sorted(test)
