"""Work that goes on with smaller batches where a batch does not fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.measure.batches import are_frames, samples_in
from spikewright.measure.shown import Shown, is_shown, some_of

R = TypeVar("R")

_TOLD_BY = ("out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc")
"""What torch's allocators say; on the CPU in a plain RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, on any device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _TOLD_BY)


class Portions:
    """Cuts batches into portions that fit: half as large after every one that did not.

    What fitted once is kept for later batches. Draws belong to samples, not to batches, so spikes
    and predictions stay what they are. The first time it happens, it warns (RuntimeWarning).
    """

    def __init__(self) -> None:
        self.largest: int | None = None
        """Samples a portion, or None while every batch fits."""

    def fitting(self, size: int, on: Callable[[int], R]) -> R:
        """The answer of `on` to the largest number of samples, up to `size`, that fits."""
        while True:
            number = min(size, self.largest or size)
            with self._halving(number):
                return on(number)

    def again(self, on: Callable[[Iterable[Any]], R], data: Iterable[Any], dimensions: int) -> R:
        """The answer of `on` to all data, asked again with smaller batches until they fit.

        Args:
            on: goes over batches.
            data: batches, alone or with labels, that can be gone over again.
            dimensions: how many dimensions one sample has.
        """
        while True:
            cut = _Cut(data, self.largest, dimensions)
            with self._halving(cut):
                return on(iter(cut))

    @contextmanager
    def _halving(self, batch: int | _Cut) -> Generator[None]:
        """Make portions smaller, instead of raising, where memory does not suffice."""
        try:
            yield
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            size = batch if isinstance(batch, int) else batch.size
            if size <= 1:
                raise AnalysisError(
                    f"one sample alone does not fit into memory ({_first_line(error)}): give fewer "
                    "time steps, smaller images, or a machine with more memory"
                ) from error
        self._halve(size)  # only here is the error, and what it held on to, gone

    def _halve(self, size: int) -> None:
        if self.largest is None:
            warnings.warn(
                f"a batch of {size} samples does not fit into memory: going on with batches of "
                f"{size // 2}, halved again where need be; predictions and spikes stay the same",
                RuntimeWarning,
                stacklevel=2,
            )
        self.largest = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def portion_of(images: Shown, part: slice, dimensions: int | None) -> Shown:
    """Some samples of a batch `[B, *S]`, or of one of frames `[T, B, *S]`."""
    return images[:, part] if are_frames(images, dimensions) else some_of(images, part)


class _Cut:
    """Batches of at most `largest` samples; `size` is that of the one being worked on."""

    def __init__(self, data: Iterable[Any], largest: int | None, dimensions: int) -> None:
        self._data = data
        self._largest = largest
        self._dimensions = dimensions
        self.size = 1

    def __iter__(self) -> Iterator[Any]:
        for item in self._data:
            pair = isinstance(item, (tuple, list)) and len(item) == 2
            images = item[0] if pair else item
            if not is_shown(images):
                yield item  # whoever reads it says what is wrong
                continue
            size = samples_in(images, self._dimensions)
            self.size = min(size, self._largest or size)
            for start in range(0, size, max(1, self.size)):
                part = slice(start, start + self.size)
                shown = portion_of(images, part, self._dimensions)
                yield (shown, _labels_of(item[1], part, size)) if pair else shown


def _labels_of(labels: Any, part: slice, samples: int) -> Any:
    """The labels of some samples of a batch."""
    if labels is None or (part.start == 0 and part.stop >= samples):
        return labels
    if isinstance(labels, Mapping):
        return {key: _labels_of(v, part, samples) for key, v in labels.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(labels, (Tensor, list, tuple)) and len(labels) == samples:  # pyright: ignore[reportUnknownArgumentType]
        return labels[part]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(labels, (list, tuple)):
        return type(labels)(_labels_of(v, part, samples) for v in labels)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    raise AnalysisError(
        f"a batch of {samples} samples does not fit into memory, and its labels, of type "
        f"{type(labels).__name__}, cannot be cut: give smaller batches"
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
