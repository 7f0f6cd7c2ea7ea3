"""The 1,797 handwritten digits that come with scikit-learn: real data that needs no download."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from spikewright.data.image_data import ImageData
from spikewright.data.preprocessing import Normalisation
from spikewright.data.splits import divided
from spikewright.extras import require_extra

SPLIT_SEED = 20250713
VALIDATION_FRACTION = 0.15
TEST_FRACTION = 0.25
INK_LEVELS = 16
"""The darkest value in scikit-learn's digits, which count the dark pixels of a 4 x 4 block."""


class _LabelledImages(Dataset[tuple[Tensor, int]]):
    """Images [N, C, H, W] in memory, with labels as plain integers."""

    def __init__(self, images: Tensor, labels: list[int]) -> None:
        self._images = images
        self._labels = labels

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
    inked = torch.as_tensor(bunch.images, dtype=torch.float32, device="cpu")
    images = inked.unsqueeze(1) / INK_LEVELS
    if normalise is not None:
        images = normalise(images)
    labels: list[int] = bunch.target.tolist()
    sizes = {
        label: (round(TEST_FRACTION * count), round(VALIDATION_FRACTION * count))
        for label, count in Counter(labels).items()
    }
    test, validation, train = divided(labels, sizes, SPLIT_SEED)
    everything = _LabelledImages(images, labels)
    return ImageData(
        name="digits",
        train=Subset(everything, train),
        validation=Subset(everything, validation),
        test=Subset(everything, test),
        classes=tuple(str(name) for name in bunch.target_names),
        image_shape=(1, 8, 8),
    )
