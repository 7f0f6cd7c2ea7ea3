"""Frames of events: their counts by time step, polarity and pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spikewright.data.events.stream import SENSOR_SIDE, Events
from spikewright.data.image_data import own_generator
from spikewright.errors import DataError


class SplitBy(StrEnum):
    """What all frames of a recording share."""

    NUMBER = "number"
    """All frames have the same number of events, but for one event at most."""

    TIME = "time"
    """All frames have the same duration."""


@dataclass(frozen=True)
class Framing:
    """How recordings become frames.

    Attributes:
        frames: T, the number of frames, at least 1; 10 is customary for CIFAR10-DVS.
        split_by: `"number"` or `"time"`.
        size: H = W, a divisor of 128; blocks of 128 / H x 128 / H pixels are summed.

    Raises:
        DataError: when made of other values.
    """

    frames: int = 10
    split_by: SplitBy = SplitBy.NUMBER
    size: int = SENSOR_SIDE

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise DataError(f"Framing: frames={self.frames}; a recording has at least 1 frame")
        if self.split_by not in list(SplitBy):
            raise DataError(f"Framing: split_by='{self.split_by}'; give 'number' or 'time'")
        if self.size < 1 or SENSOR_SIDE % self.size:
            divisors = [str(n) for n in range(1, SENSOR_SIDE + 1) if SENSOR_SIDE % n == 0]
            raise DataError(
                f"Framing: size={self.size} does not divide the {SENSOR_SIDE} pixels of the "
                f"camera; give one of {', '.join(divisors)}"
            )


def integrate(events: Events, framing: Framing) -> Tensor:
    """Count the events of every frame.

    By number, frame k holds the events `k*N // T` up to `(k+1)*N // T`. By time, event i goes to
    frame `(t[i] - t[0]) * T // (t[N-1] - t[0] + 1)`. Every event is in exactly one frame, so the
    sum of the frames is N.

    Args:
        events: the events of one recording.
        framing: the number of frames, how they are split, and their size.

    Returns:
        Counts, float32 [T, 2, H, W]; channel 0 counts OFF events, channel 1 ON events.

    Example:
        >>> one = Events(np.zeros(1, np.int64), *np.zeros((2, 1), np.uint8), np.ones(1, bool))
        >>> integrate(one, Framing(frames=2, size=32)).shape
        torch.Size([2, 2, 32, 32])
    """
    side, block = framing.size, SENSOR_SIDE // framing.size
    place = (events.y // block).astype(np.int64) * side + events.x // block
    index = (_frame_of(events, framing) * 2 + events.on) * side**2 + place
    shape = (framing.frames, 2, side, side)
    counts = np.bincount(index, minlength=framing.frames * 2 * side**2).reshape(shape)
    return torch.from_numpy(counts).to(torch.float32)


def collate_frames(samples: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Put samples together, time first, for `DataLoader(collate_fn=collate_frames)`.

    Args:
        samples: B pairs of (frames [T, 2, H, W], label).

    Returns:
        (frames [T, B, 2, H, W], int64 labels [B]).
    """
    frames = torch.stack([frames for frames, _ in samples], dim=1)  # [T, B, 2, H, W]
    return frames, torch.tensor([label for _, label in samples])


def frame_batches(
    dataset: Dataset[tuple[Tensor, int]], batch_size: int
) -> DataLoader[tuple[Tensor, int]]:
    """Batch recordings in their own order, time first: (frames [T, B, 2, H, W], labels [B]).

    Args:
        dataset: pairs of (frames [T, 2, H, W], label), such as a split of `EventData`.
        batch_size: the number of recordings a batch, at least 1.

    Raises:
        DataError: if `batch_size` is below 1.
    """
    if batch_size < 1:
        raise DataError(f"frame_batches: batch_size={batch_size}; give at least 1")
    return DataLoader(
        dataset,
        batch_size=batch_size,
        collate_fn=collate_frames,
        generator=own_generator(),
    )


def _frame_of(events: Events, framing: Framing) -> NDArray[np.int64]:
    """The frame of every event, int64 [N]."""
    if framing.split_by == SplitBy.TIME and len(events):
        elapsed = events.t - events.t[0]
        return elapsed * framing.frames // (elapsed[-1] + 1)
    bounds = np.arange(framing.frames + 1) * len(events) // framing.frames
    return np.repeat(np.arange(framing.frames), np.diff(bounds))
