"""A whole split as two tensors: decoded once, cut into batches at no cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.data.image_data import ImageDataset, dataset_length, loader
from spikewright.errors import DataError

CHUNK = 500
"""Images decoded at a time, so that only few exist in float32."""


@dataclass(frozen=True)
class InMemory:
    """All images of a split.

    Attributes:
        images: [N, C, H, W], uint8 in 0 .. 255, or float32 where the data set has values that
            no byte holds: in 0 .. 1, or event counts.
        labels: int64 [N].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> InMemory:
        """The same on another device."""
        return InMemory(self.images.to(device), self.labels.to(device))


def in_memory(dataset: ImageDataset, *, bounded: bool = True) -> InMemory:
    """Read every image of a data set that was opened *without* normalisation.

    Args:
        dataset: of float32 images in 0 .. 1, all of one shape.
        bounded: False for images whose values are not in 0 .. 1 (`ImageData.bounded`): they are
            kept in float32 as they are.

    Raises:
        DataError: if it is empty, a picture cannot be read, or a value lies outside 0 .. 1.
    """
    parts: list[Tensor] = []
    labels: list[Tensor] = []
    exact = bounded
    for images, names in loader(dataset, min(CHUNK, max(1, dataset_length(dataset)))):
        if bounded and not bool(((images >= 0) & (images <= 1)).all()):
            raise DataError(
                "in_memory: pixels outside 0 .. 1; open the data set without mean and std"
            )
        pixels = (images * 255).round()
        if exact and not bool((pixels / 255 == images).all()):
            exact = False
            parts = [part.to(torch.float32) / 255 for part in parts]
        parts.append(pixels.to(torch.uint8) if exact else images)
        labels.append(names)
    return InMemory(torch.cat(parts), torch.cat(labels))
