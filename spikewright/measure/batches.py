"""Reading data for an analysis: batches with labels, or without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import AnalysisError

Labelled = Iterable[Any]
"""Batches (images `[B, *S]`, labels `[B]`), such as a DataLoader gives them."""

_EMPTY = (
    "the data held no sample; if it is a generator it may already be used up: pass a list of "
    "batches or a DataLoader"
)


def labelled_batches(
    data: Labelled, dimensions: int | None = None, *, required: bool = True
) -> Iterator[tuple[Tensor, Tensor]]:
    """Checked batches: images `[B, *S]` and labels int64 `[B]`, on the CPU; empty ones left out.

    Args:
        data: batches.
        dimensions: how many a sample has, where batches of frames `[T, B, *S]` are taken too.
        required: whether there must be a sample.

    Raises:
        AnalysisError: for a batch without labels, labels of another shape or kind, images that are
            not finite, or no sample at all.
    """
    seen = 0
    for number, item in enumerate(data):
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise AnalysisError(
                f"batch {number} is {_told(item)}, so it has no labels to measure accuracy by: "
                "give (images, labels) pairs"
            )
        images, labels = _images(item[0], number), _labels(item[1], number)
        samples = samples_in(images, dimensions)
        if samples != len(labels):
            raise AnalysisError(
                f"batch {number} has {samples} images and {len(labels)} labels; give one each"
            )
        seen += samples
        if samples:
            yield images, labels
    if required and not seen:
        raise AnalysisError(_EMPTY)


def are_frames(images: Tensor, dimensions: int | None) -> bool:
    """Whether a batch is frames `[T, B, *S]` of samples that have so many dimensions."""
    return dimensions is not None and images.ndim == dimensions + 2


def samples_in(images: Tensor, dimensions: int | None) -> int:
    """How many samples a batch `[B, *S]`, or one of frames `[T, B, *S]`, holds."""
    return images.shape[1] if are_frames(images, dimensions) else len(images)


def image_batches(data: Iterable[Any], dimensions: int | None = None) -> Iterator[Tensor]:
    """Checked batches of images `[B, *S]`; labels, where there are any, are ignored.

    Args:
        data: batches.
        dimensions: how many a sample has, where batches of frames `[T, B, *S]` are taken too.

    Raises:
        AnalysisError: for a batch that is no tensor, values that are not finite, or no sample at
            all.
    """
    seen = 0
    for number, item in enumerate(data):
        images = _images(item[0] if isinstance(item, (tuple, list)) else item, number)
        samples = samples_in(images, dimensions)
        seen += samples
        if samples:
            yield images
    if not seen:
        raise AnalysisError(_EMPTY)


def _images(images: Any, number: int) -> Tensor:
    if not isinstance(images, Tensor) or images.ndim == 0:
        raise AnalysisError(f"batch {number} holds {_told(images)}; give a tensor [B, *S]")
    if images.is_floating_point() and not bool(images.isfinite().all()):
        raise AnalysisError(
            f"batch {number} holds NaN or infinite values; check the files and the preprocessing"
        )
    return images


def _labels(labels: Any, number: int) -> Tensor:
    if not isinstance(labels, (Tensor, list, tuple)):
        raise AnalysisError(f"the labels of batch {number} are {_told(labels)}; give integers [B]")
    found = torch.as_tensor(labels)
    if found.ndim != 1 or found.is_floating_point() or found.dtype == torch.bool:
        raise AnalysisError(
            f"the labels of batch {number} are {found.dtype} {list(found.shape)}; give class "
            "numbers, integers of shape [B]"
        )
    return found.long().cpu()


def _told(item: Any) -> str:
    if isinstance(item, Tensor):
        return f"one tensor {list(item.shape)}"
    if isinstance(item, (tuple, list)):
        return f"a {type(item).__name__} of {len(item)}"
    return f"of type {type(item).__name__}"


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


def checked_steps(steps: int | Sequence[int]) -> tuple[int, ...]:
    """One T or several, each once.

    Raises:
        AnalysisError: for none, or anything but whole numbers of at least 1.
    """
    given = whole_numbers(steps)
    if not given or min(given) < 1:
        raise AnalysisError(
            f"steps must be whole numbers of time steps, at least one of them, got {steps!r}: "
            "try steps=(4, 8, 16)"
        )
    return tuple(dict.fromkeys(given))


def whole_numbers(given: Any) -> tuple[int, ...]:
    """One integer or several as a tuple; empty for anything else."""
    several = tuple(given) if isinstance(given, Sequence) else (given,)
    return several if all(type(number) is int for number in several) else ()


def length_of(data: Iterable[Any]) -> int | None:
    """How many batches, where the data can say; a loader of a stream has `__len__` and refuses."""
    try:
        return len(data) if isinstance(data, Sized) else None
    except TypeError:
        return None
