"""Keeps integrated frames on disk, so that a recording is read once and not every epoch."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikewright.data.events.frames import Framing
from spikewright.files import write_whole


class FrameCache:
    """Frames by recording, in a folder that may be deleted at any time.

    An entry's name holds the framing and the size and time of the recording's file, so that a
    recording or a framing that has changed has another entry. Entries are written whole; one
    that is damaged is made anew.

    Args:
        folder: where entries are; made when needed.
        framing: of all entries of this cache.
    """

    def __init__(self, folder: Path, framing: Framing) -> None:
        self._folder = folder
        self._framing = framing
        self._shape = (framing.frames, 2, framing.size, framing.size)

    def frames(self, recording: Path, integrate: Callable[[Path], Tensor]) -> Tensor:
        """Return the frames of a recording, float32 [T, 2, H, W], integrating them if need be."""
        entry = self._entry(recording)
        kept = self._read(entry)
        if kept is not None:
            return kept
        frames = integrate(recording)
        entry.parent.mkdir(parents=True, exist_ok=True)
        counts = frames.numpy()
        buffer = io.BytesIO()
        np.save(buffer, counts.astype(np.min_scalar_type(int(counts.max()))))  # mostly one byte
        write_whole(entry, buffer.getvalue())
        return frames

    def _entry(self, recording: Path) -> Path:
        told = recording.stat() if recording.exists() else None  # its reader says what is wrong
        state = "missing" if told is None else f"{told.st_size}-{told.st_mtime_ns}"
        framing = f"{self._framing.split_by}-{self._framing.frames}-{self._framing.size}"
        return self._folder / framing / recording.parent.name / f"{recording.stem}-{state}.npy"

    def _read(self, entry: Path) -> Tensor | None:
        try:
            counts = np.load(io.BytesIO(entry.read_bytes()), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if counts.shape != self._shape:
            return None
        return torch.from_numpy(counts.astype(np.float32))
