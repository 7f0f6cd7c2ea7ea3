"""Images that stand still, as sequences."""

from __future__ import annotations

from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data import open_dataset
from spikewright.data.in_memory import in_memory
from spikewright.errors import DataError
from spikewright.recurrent import SequenceData


class _Still(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: Tensor, labels: Tensor, steps: int) -> None:
        self.images = images  # [N, C, H, W]
        self.labels = labels
        self.steps = steps

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        return image.expand(self.steps, *image.shape), int(self.labels[index])


def still_digits(steps: int = 4) -> SequenceData:
    """The 1,797 handwritten digits of 8 x 8 pixels, each shown unchanged for some time steps.

    Items are `[T, 1, 8, 8]` in 0 .. 1; `train_on_sequences` takes them. The splits are those of
    `open_dataset("digits")`.

    Args:
        steps: T, at least 1.

    Raises:
        DataError: for steps below 1.
        MissingExtra: if scikit-learn is not installed.

    Example:
        >>> still_digits(3).train[0][0].shape
        torch.Size([3, 1, 8, 8])
    """
    if steps < 1:
        raise DataError(f"steps must be at least 1, got {steps}")
    data = open_dataset("digits")

    def still(split: Dataset[tuple[Tensor, int]]) -> _Still:
        found = in_memory(split)
        pixels = found.images if found.images.is_floating_point() else found.images.float() / 255
        return _Still(pixels, found.labels, steps)

    train, validation, test = map(still, (data.train, data.validation, data.test))
    features = train.images[0].numel()
    return SequenceData("still digits", train, validation, test, data.classes, steps, features)
