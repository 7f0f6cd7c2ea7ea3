"""Images in double precision."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.image_data import ImageDataset, dataset_length


class InDouble(Dataset[tuple[Tensor, int]]):
    """A data set whose images (or frames) are float64."""

    def __init__(self, dataset: ImageDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return dataset_length(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        images, label = self._dataset[index]
        return images.double(), label

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """What a DataLoader asks for a batch, so that damaged pictures can be left out here too."""
        fetch = getattr(self._dataset, "__getitems__", None)
        pairs = [self._dataset[i] for i in indices] if fetch is None else fetch(indices)
        return [(images.double(), label) for images, label in pairs]
