"""Whole splits as tensors: every image is decoded once, and batches are cut at no cost."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.data.image_data import ImageDataset, dataset_length, loader
from spikewright.devices import cpu_by_default
from spikewright.errors import DataError

CHUNK = 500
"""Images decoded at a time, so that only few exist in float32."""


@dataclass(frozen=True)
class InMemory:
    """All images of one or more data sets.

    Attributes:
        images: [N, C, H, W], uint8 in 0 .. 255, or float32 where the data set has values that
            no byte holds: in 0 .. 1, or event counts.
        labels: int64 [N].
        sizes: the number of images of each data set, in order.
    """

    images: Tensor
    labels: Tensor
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> InMemory:
        """The same on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


@cpu_by_default()
def in_memory(*datasets: ImageDataset, bounded: bool = True) -> InMemory:
    """Read every image of data sets that were opened *without* normalisation.

    Args:
        *datasets: data sets of float32 images in 0 .. 1, all of one shape.
        bounded: False for images whose values are not in 0 .. 1 (`ImageData.bounded`): they are
            kept in float32 as they are.

    Raises:
        DataError: if one is empty, a picture cannot be read, a value lies outside 0 .. 1, or the
            images need more memory than there is.
    """
    count = sum(map(dataset_length, datasets))
    labels = torch.empty(count, dtype=torch.int64)
    held, filled, exact, sizes = None, 0, bounded, list[int]()
    for dataset in datasets:
        for images, names in loader(dataset, CHUNK):
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
                in_bytes, held = held[:filled], _room(count, images.shape[1:], torch.float32)
                held[:filled] = in_bytes.to(torch.float32) / 255
            part = slice(filled, filled + len(images))
            held[part], labels[part] = pixels if exact else images, names
            filled += len(images)
        sizes.append(filled - sum(sizes))
    if held is None:
        raise DataError(f"in_memory: none of the {count} images can be read")
    return InMemory(held[:filled], labels[:filled], tuple(sizes))


def require_memory(count: int, shape: Sequence[int], dtype: torch.dtype) -> None:
    """See that images fit into the memory of this machine, where the system says how much it has.

    Args:
        count: the number of images.
        shape: the shape (C, H, W) of each.
        dtype: the type of their values.

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
    """Bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _room(count: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Memory for images, [count, C, H, W], taken once: parts that are joined need twice as much.

    Raises:
        DataError: if there is not enough.
    """
    require_memory(count, shape, dtype)
    return torch.empty(count, *shape, dtype=dtype)
