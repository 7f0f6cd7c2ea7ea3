"""Images in another dtype."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.image_data import ImageDataset, dataset_length


class InDtype(Dataset[tuple[Tensor, int]]):
    """A data set whose images (or frames) are of a dtype."""

    def __init__(self, dataset: ImageDataset, dtype: torch.dtype) -> None:
        self._dataset = dataset
        self._dtype = dtype

    def __len__(self) -> int:
        return dataset_length(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        images, label = self._dataset[index]
        return images.to(self._dtype), label

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """What a DataLoader asks for a batch, so that damaged pictures can be left out here too."""
        fetch = getattr(self._dataset, "__getitems__", None)
        pairs = [self._dataset[i] for i in indices] if fetch is None else fetch(indices)
        return [(images.to(self._dtype), label) for images, label in pairs]
