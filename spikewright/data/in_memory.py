"""A whole split as two tensors: decoded once, cut into batches at no cost."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
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
        DataError: if it is empty, a picture cannot be read, a value lies outside 0 .. 1, or the
            images need more memory than there is.
    """
    count = dataset_length(dataset)
    labels = torch.empty(count, dtype=torch.int64)
    held, filled, exact = None, 0, bounded
    for images, names in loader(dataset, min(CHUNK, max(1, count))):
        if not len(images):  # damaged pictures are left out
            continue
        if bounded and not bool(((images >= 0) & (images <= 1)).all()):
            raise DataError(
                "in_memory: pixels outside 0 .. 1; open the data set without mean and std"
            )
        pixels = (images * 255).round()
        exact = exact and bool((pixels / 255 == images).all())
        if held is None:
            held = _room(count, images.shape[1:], torch.uint8 if exact else torch.float32)
        elif not exact and held.dtype is torch.uint8:
            bytes_so_far = held[:filled]
            held = _room(count, images.shape[1:], torch.float32)
            held[:filled] = bytes_so_far.to(torch.float32) / 255
        part = slice(filled, filled + len(images))
        held[part] = pixels if exact else images
        labels[part] = names
        filled += len(images)
    if held is None:
        raise DataError(f"in_memory: none of the {count} images can be read")
    return InMemory(held[:filled], labels[:filled])


def require_memory(count: int, shape: Sequence[int], dtype: torch.dtype) -> None:
    """See that images fit into the memory of this machine, where it tells how much it has.

    Args:
        count: how many images.
        shape: (C, H, W) of each.
        dtype: of their values.

    Raises:
        DataError: if they need more than all of it.
    """
    needed, there = count * math.prod(shape) * dtype.itemsize, machine_memory()
    if there is not None and needed > there:
        raise DataError(
            f"{count:,} images of {' x '.join(map(str, shape))} need {needed / 2**30:,.1f} GiB of "
            f"memory, and this machine has {there / 2**30:,.1f}; give a smaller size=..., or a "
            "folder with fewer images"
        )


def machine_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not tell."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return found if found > 0 else None


def _room(count: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A place for images, [count, C, H, W], made once: parts that are joined need twice as much.

    Raises:
        DataError: if there is not enough memory.
    """
    require_memory(count, shape, dtype)
    return torch.empty(count, *shape, dtype=dtype)
