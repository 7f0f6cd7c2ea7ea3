"""What every data set looks like once it is open, and how to draw batches from one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from spikewright.errors import DataError

ImageDataset = Dataset[tuple[Tensor, int]]
"""A map-style data set of (float32 image [C, H, W], int label), with a length."""


@dataclass(frozen=True)
class ImageData:
    """A labelled image data set in three splits that share no image.

    Attributes:
        name: the name that it was opened by, without its folder, e.g. `"cifar10"`.
        train: what weights and thresholds may be fitted to.
        validation: what training choices (the best epoch) may be made on.
        test: what the final figures come from, and nothing else.
        classes: the class names; label `i` is `classes[i]`.
        image_shape: (C, H, W) of every image.
        bounded: whether values lie in 0 .. 1 before normalisation; event counts do not.
    """

    name: str
    train: ImageDataset
    validation: ImageDataset
    test: ImageDataset
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    bounded: bool = True


def dataset_length(dataset: ImageDataset) -> int:
    """Return the number of images; `torch.utils.data.Dataset` itself promises no length.

    Raises:
        DataError: if the data set is a stream without a length.
    """
    try:
        return len(dataset)  # type: ignore[arg-type]
    except TypeError as error:
        raise DataError(
            f"{type(dataset).__name__} has no length; give a map-style data set "
            "(one with __len__ and __getitem__), not a stream"
        ) from error


def permutation(length: int, seed: int) -> list[int]:
    """Return a permutation of `range(length)` that depends on `length` and `seed` alone."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(length, generator=generator, device="cpu").tolist()


def calibration_subset(dataset: ImageDataset, count: int, seed: int) -> Subset[tuple[Tensor, int]]:
    """Draw images uniformly, without replacement and blind to their class.

    Folder data sets are sorted by class, so that their first images are of one class alone:
    draw a subset with this function instead, for calibration as well as for a quick test.
    A smaller subset is the beginning of a larger one from the same seed.

    Args:
        dataset: a map-style data set.
        count: the number of images, from 1 to the length of the data set.
        seed: the same seed draws the same images.

    Returns:
        The subset, in the order drawn.

    Raises:
        DataError: if `count` is not in 1 .. length of the data set.

    Example:
        >>> images = torch.utils.data.TensorDataset(torch.zeros(10, 1, 8, 8), torch.arange(10))
        >>> len(calibration_subset(images, count=4, seed=0))
        4
    """
    length = dataset_length(dataset)
    if not 1 <= count <= length:
        raise DataError(
            f"calibration_subset: count={count}, but the data set holds {length} images; "
            f"ask for 1 to {length}"
        )
    return Subset(dataset, permutation(length, seed)[:count])


def loader(
    dataset: ImageDataset, batch_size: int, workers: int = 0
) -> DataLoader[tuple[Tensor, int]]:
    """Batch a data set in its own order, the last batch being whatever is left.

    Args:
        dataset: a map-style data set.
        batch_size: the number of images a batch, at least 1.
        workers: the number of processes that read ahead; 0 reads in this process. An `on_damaged`
            of `open_dataset` is called in the process that reads, so it must note elsewhere than in
            memory what workers leave out.

    Returns:
        An iterable of (float32 images [B, C, H, W], int64 labels [B]). Where damaged pictures are
        left out, a batch may hold fewer images, or none.

    Raises:
        DataError: if `batch_size` is below 1, `workers` below 0, or the data set is empty.
    """
    if batch_size < 1 or workers < 0:
        raise DataError(
            f"loader: batch_size={batch_size}, workers={workers}; "
            "batch_size must be at least 1 and workers at least 0"
        )
    if dataset_length(dataset) == 0:
        raise DataError("loader: the data set is empty")
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_collated,
        generator=own_generator(),
    )


def own_generator() -> torch.Generator:
    """What a `DataLoader` draws from; with none it draws from torch's global generator.

    It draws on the default device of whoever reads its batches.
    """
    return torch.Generator(torch.get_default_device())


def _collated(items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """A batch; of no item at all two empty tensors, which `default_collate` cannot make."""
    if not items:
        return torch.empty(0), torch.empty(0, dtype=torch.int64)
    images, labels = default_collate(items)
    return images, labels
