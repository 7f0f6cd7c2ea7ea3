"""Recordings shown as T frames: whatever T, their mean is the image a network was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikewright.data import open_dataset
from spikewright.data.events import EventImages, Framing, frame_batches, open_event_data
from spikewright.data.in_memory import in_memory
from spikewright.data.preprocessing import Normalisation
from spikewright.errors import DataError

from .builders import write_recordings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_recordings(tmp_path / "dvs")
    return tmp_path / "dvs"


@pytest.mark.parametrize("steps", [1, 3, 4, 10])
def test_the_mean_of_the_frames_is_the_image_at_every_t(folder: Path, steps: int) -> None:
    normalise = Normalisation((0.1, 0.2), (0.5, 2.0))
    images = open_event_data(folder, Framing(size=16)).mean_images(normalise)
    shown = images.in_frames(steps)
    assert shown.frames_shape == (steps, 2, 16, 16)
    for split in ("train", "validation", "test"):
        for (frames, label), (image, same) in zip(
            getattr(shown, split), getattr(images, split), strict=True
        ):
            assert label == same
            torch.testing.assert_close(frames.mean(0), image)


@pytest.mark.parametrize("steps", [1, 3, 4, 20])
def test_an_event_adds_what_the_data_say(folder: Path, steps: int) -> None:
    data = open_event_data(folder, Framing(size=16))
    shown = data.in_frames(7).in_frames(steps)
    assert (data.event_value, shown.event_value) == (1, pytest.approx(steps / 10))
    for (frames, _), (counts, _) in zip(shown.test, data.test, strict=True):
        assert float(frames.sum() / shown.event_value) == pytest.approx(float(counts.sum()))


def test_batches_put_time_first(folder: Path) -> None:
    data = open_event_data(folder, Framing(frames=4, size=16))
    frames, labels = next(iter(frame_batches(data.train, 2)))
    assert (frames.shape, labels.shape) == ((4, 2, 2, 16, 16), (2,))
    assert torch.equal(frames[:, 1], data.train[1][0])
    with pytest.raises(DataError, match="batch_size=0; give at least 1"):
        frame_batches(data.train, 0)


def test_counts_beyond_one_are_read_whole(folder: Path) -> None:
    images = open_dataset(f"cifar10dvs:{folder}", size=16)
    assert isinstance(images, EventImages)
    assert not images.bounded
    held = in_memory(images.train, bounded=False)
    assert held.images.dtype == torch.float32
    assert torch.equal(held.images[1], images.train[1][0])
