"""Reading data for an analysis: batches with labels, or without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
)

from spikewright.devices import items_of
from spikewright.errors import AnalysisError
from spikewright.measure.checked import (
    checked_images,
    checked_inputs,
    class_numbers,
    described,
    number_of,
    taken_apart,
)
from spikewright.measure.shown import Shown, bytes_of, is_shown, size_of

Labelled = Iterable[Any]
"""Batches (images `[B, *S]`, labels `[B]`), such as a DataLoader gives them."""


class Labels(StrEnum):
    """The labels that an analysis takes."""

    CLASSES = "class numbers"
    IF_ANY = "class numbers, or none"
    """Samples alone are compared with a reference."""
    ANYTHING = "anything, or none"
    """A metric of the user's own knows what they mean."""


BLOCK_SAMPLES = 2000
"""Samples a block holds at most, so that processes can share even a small data set."""
BLOCK_BYTES = 1 << 28
"""What the samples of a block take at most."""
HELD_BYTES = 1 << 30
"""A block that turns out larger is read again instead of held in memory."""

NO_SAMPLE = (
    "the data held no sample; if it is a generator it may already be used up: pass a list of "
    "batches or a DataLoader"
)


def labelled_batches(
    data: Labelled,
    dimensions: int | None = None,
    *,
    first: int = 0,
    required: bool = True,
    wanted: Labels = Labels.CLASSES,
) -> Iterator[tuple[Any, Any]]:
    """Checked batches: images `[B, *S]` and labels int64 `[B]`, on the CPU; empty ones left out.

    Args:
        data: batches.
        dimensions: how many a sample has, where batches of frames `[T, B, *S]` are taken too.
        first: the number of the first batch, for errors.
        required: whether there must be a sample.
        wanted: which labels are taken; those that are no class numbers come as they are, and None
            where there are none. A tensor of one dimension holds one a sample.

    Raises:
        AnalysisError: for a batch without labels, labels of another shape or kind, images that are
            not finite, or no sample at all.
    """
    seen = 0
    for number, item in enumerate(items_of(data), first):
        shown, labels, labelled = taken_apart(item)
        if not labelled and (wanted is Labels.CLASSES or not isinstance(shown, Tensor | Mapping)):
            raise AnalysisError(
                f"batch {number} is {described(item)}, so it has no labels to measure accuracy "
                "by: give (images, labels) pairs, or images alone with a reference= that answers "
                "are compared with"
            )
        images = checked_inputs(shown, number)
        samples = samples_in(images, dimensions)
        if wanted is not Labels.ANYTHING and labels is not None:
            labels = class_numbers(labels, f"the labels of batch {number}")
        if isinstance(labels, Tensor) and labels.ndim < 2 and labels.shape != (samples,):
            raise AnalysisError(
                f"batch {number} has {samples} images and {number_of(labels)} labels; give one each"
            )
        seen += samples
        if samples:
            yield images, labels
    if required and not seen:
        raise AnalysisError(NO_SAMPLE)


@dataclass
class Block:
    """Consecutive batches that are read together, when they are needed.

    Attributes:
        first: the number of its first batch.
        read: reads its batches.
        dimensions: how many dimensions one sample has.
        wanted: which labels are taken.
    """

    first: int
    read: Callable[[], Iterable[Any]]
    dimensions: int
    wanted: Labels = Labels.CLASSES
    _held: list[tuple[Any, Any]] | None = None

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Checked batches, held in memory where they fit; see `labelled_batches`."""
        if self._held is not None:
            yield from self._held
            return
        held, size = list[tuple[Any, Any]](), 0
        for images, labels in labelled_batches(
            self.read(), self.dimensions, first=self.first, required=False, wanted=self.wanted
        ):
            size += bytes_of(images)
            if size <= HELD_BYTES:
                held.append((images, labels))
            yield images, labels
        if size <= HELD_BYTES:
            self._held = held

    def release(self) -> None:
        """Forget what is held."""
        self._held = None


def blocks_of(
    data: Labelled,
    shape: Sequence[int],
    frames: int = 1,
    wanted: Labels = Labels.CLASSES,
    answer: int = 0,
) -> Iterable[Block]:
    """The data in blocks of at most `BLOCK_SAMPLES` samples and `BLOCK_BYTES`, or of one batch.

    A loader is read block by block, in the order of its data set even where it shuffles; a list is
    cut; both give a list of blocks of which none is read. Other data is read from its beginning to
    its end, once.

    Args:
        data: batches.
        shape: the shape of one sample, or of one frame of it.
        frames: how many of these a sample has.
        wanted: which labels are taken.
        answer: how many numbers of an answer are kept for each sample.
    """
    bytes_each = 4 * max(1, frames * torch.Size(shape).numel(), answer)
    most = max(1, min(BLOCK_SAMPLES, BLOCK_BYTES // bytes_each))
    dimensions = len(shape)
    if isinstance(data, DataLoader) and (order := _order_of(data)) is not None:
        loader: DataLoader[Any] = data
        return [
            Block(first, lambda part=order[first:end]: _part(loader, part), dimensions, wanted)
            for first, end in _cuts([len(batch) for batch in order], most)
        ]
    if isinstance(data, Sequence):
        sizes = [_samples_of(item, dimensions) for item in data]
        return [
            Block(first, lambda part=data[first:end]: part, dimensions, wanted)
            for first, end in _cuts(sizes, most)
        ]
    return _stream(data, most, dimensions, wanted)


def _order_of(data: DataLoader[Any]) -> list[list[int]] | None:
    """The samples of each batch of a loader, by their numbers; None where it does not tell."""
    if type(data).__iter__ is not DataLoader.__iter__:  # it may change what it gives
        return None
    if isinstance(data.dataset, IterableDataset) or not _shows_all(data.sampler, data.dataset):
        return None
    if type(data.batch_sampler) is not BatchSampler or data.batch_size is None:
        return None
    order = SequentialSampler(data.dataset)  # pyright: ignore[reportArgumentType]
    return list(BatchSampler(order, data.batch_size, data.drop_last))


def _shows_all(sampler: Any, dataset: Any) -> bool:
    """Whether a sampler is known to show every sample of a data set once."""
    if type(sampler) is SequentialSampler:
        return sampler.data_source is dataset
    if type(sampler) is not RandomSampler or sampler.data_source is not dataset:
        return False
    return not sampler.replacement and sampler.num_samples == len(dataset)


def _part(data: DataLoader[Any], batches: list[list[int]]) -> DataLoader[Any]:
    return DataLoader(
        data.dataset,
        batch_sampler=batches,
        num_workers=data.num_workers,
        collate_fn=data.collate_fn,
        pin_memory=data.pin_memory,
        worker_init_fn=data.worker_init_fn,
        generator=data.generator,
    )


def _cuts(sizes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Where blocks begin and end: consecutive batches, together at most so many samples."""
    first = held = 0
    for number, size in enumerate(sizes):
        if held and held + size > most:
            yield first, number
            first, held = number, 0
        held += size
    if len(sizes) > first:
        yield first, len(sizes)


def _samples_of(item: Any, dimensions: int) -> int:
    shown, _, _ = taken_apart(item)
    return samples_in(shown, dimensions) if is_shown(shown) else 1


def _stream(data: Labelled, most: int, dimensions: int, wanted: Labels) -> Iterator[Block]:
    number, batches = 0, items_of(data)
    for item in batches:
        each = max(1, _samples_of(item, dimensions))
        part = [item, *islice(batches, max(1, most // each) - 1)]
        yield Block(number, lambda part=part: part, dimensions, wanted)
        number += len(part)


def are_frames(images: Shown, dimensions: int | None) -> bool:
    """Whether a batch is frames `[T, B, *S]` of samples that have so many dimensions."""
    if dimensions is None or not isinstance(images, Tensor):
        return False
    return images.ndim == dimensions + 2


def samples_in(images: Shown, dimensions: int | None) -> int:
    """How many samples a batch `[B, *S]`, or one of frames `[T, B, *S]`, holds."""
    return images.shape[1] if are_frames(images, dimensions) else size_of(images)


def image_batches(
    data: Iterable[Any], dimensions: int | None = None, *, first: int = 0, required: bool = True
) -> Iterator[Shown]:
    """Checked batches of images `[B, *S]`, or mappings that hold them by the argument's name.

    Labels, where there are any, are ignored. Arguments are those of `labelled_batches`.

    Raises:
        AnalysisError: for a batch that is neither, values that are not finite, or no sample at
            all.
    """
    seen = 0
    for number, item in enumerate(items_of(data), first):
        shown = item[0] if isinstance(item, (tuple, list)) else taken_apart(item)[0]
        check = checked_inputs if isinstance(shown, Mapping) else checked_images
        images = check(shown, number)
        samples = samples_in(images, dimensions)
        seen += samples
        if samples:
            yield images
    if required and not seen:
        raise AnalysisError(NO_SAMPLE)


def require_reiterable(data: Iterable[Any]) -> None:
    """Refuse a generator where data is gone over more than once.

    Raises:
        AnalysisError: for an iterator.
    """
    if isinstance(data, Iterator):
        raise AnalysisError(
            f"this analysis goes over the data several times and a {type(data).__name__} can be "
            "read once: pass a list of batches or a DataLoader"
        )


def require_batches(data: Any, shape: Sequence[int]) -> None:
    """Refuse tensors and data sets that are given in place of batches.

    Args:
        data: an iterable of batches, or a function that returns one.
        shape: of one sample of the first input.

    Raises:
        AnalysisError: for a tensor, a pair (images, labels), or what can be neither iterated over
            nor called.
    """
    if isinstance(data, Tensor):
        raise AnalysisError(
            f"the data is {described(data)}, not batches: give a list of them, [images] or "
            "[(images, labels)]"
        )
    if isinstance(data, (tuple, list)) and len(data) == 2:  # pyright: ignore[reportUnknownArgumentType]
        shapes = [tuple(item.shape[1:]) for item in data if isinstance(item, Tensor)]  # pyright: ignore[reportUnknownVariableType]
        if len(shapes) == 2 and shapes[0] == tuple(shape) != shapes[1]:
            raise AnalysisError(
                "the data is one pair (images, labels), which is read as two batches: give a list "
                "of pairs, [(images, labels)]"
            )
    if not isinstance(data, Iterable) and not callable(data):
        raise AnalysisError(
            f"the data is a {type(data).__name__}, which gives no batches: give "
            "torch.utils.data.DataLoader(dataset, batch_size=64)"
        )


def checked_steps(steps: int | Sequence[int]) -> tuple[int, ...]:
    """One T or several, each once.

    Raises:
        AnalysisError: for none, or anything but whole numbers of at least 1.
    """
    numbers = whole_numbers(steps)
    if not numbers or min(numbers) < 1:
        raise AnalysisError(
            f"steps must be whole numbers of time steps, at least one of them, got {steps!r}: "
            "try steps=(4, 8, 16)"
        )
    return tuple(dict.fromkeys(numbers))


def whole_numbers(value: Any) -> tuple[int, ...]:
    """One integer or several as a tuple; empty for anything else."""
    several = tuple(value) if isinstance(value, Sequence) else (value,)
    return several if all(type(number) is int for number in several) else ()


def length_of(data: Iterable[Any]) -> int | None:
    """How many batches, where the data can say; a loader of a stream has `__len__` and refuses."""
    try:
        return len(data) if isinstance(data, Sized) else None
    except TypeError:
        return None
