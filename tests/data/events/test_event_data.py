"""Folders of recordings: found, split, labelled, cached."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from spikewright.data import open_dataset
from spikewright.data.events import (
    Division,
    EventDataset,
    Framing,
    collate_frames,
    open_event_data,
    write_aedat,
)
from spikewright.data.events.recordings import Recording, split_recordings
from spikewright.errors import DataError

from .builders import events_from, write_recordings

SMALL = Framing(frames=2, size=16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "recordings")


def told(dataset: EventDataset) -> list[tuple[int, int]]:
    """(label, number) of every recording, from its number of events."""
    return [
        (label, int(frames.sum()) - 1)
        for frames, label in (dataset[i] for i in range(len(dataset)))
    ]


def test_a_folder_opens_as_three_splits(folder: Path) -> None:
    data = open_event_data(folder, SMALL)
    assert (data.name, data.classes, data.simulated) == ("cifar10dvs", ("cat", "dog"), False)
    assert told(data.test) == [(0, 9), (1, 9)]
    assert len(data.validation) == 2
    everything = told(data.train) + told(data.validation) + told(data.test)
    assert sorted(everything) == [(label, n) for label in (0, 1) for n in range(10)]
    assert data.frames_shape == (2, 2, 16, 16)
    assert data.description == (
        "CIFAR10-DVS layout: 20 event recordings of 2 classes as 2 frames by number, 2 x 16 x 16"
    )


def test_events_land_in_their_place(folder: Path) -> None:
    frames, _ = open_event_data(str(folder), SMALL).test[0]
    assert frames.nonzero().tolist() == [
        [0, 1, 1, 0],
        [1, 1, 1, 0],
    ]  # ON, row 9 // 8, column 5 // 8
    assert frames.sum() == 10


def test_batches_put_time_first(folder: Path) -> None:
    data = open_event_data(folder, SMALL)
    frames, labels = next(iter(DataLoader(data.train, 5, collate_fn=collate_frames)))
    assert frames.shape == (2, 5, 2, 16, 16)
    assert labels.shape == (5,)


def thousand(classes: int = 2) -> list[Recording]:
    return [
        Recording(Path(f"{label}/{n}"), label, n) for label in range(classes) for n in range(1000)
    ]


def test_divisions_of_a_thousand_are_the_customary_ones() -> None:
    first = split_recordings(thousand(), Division.FIRST)
    last = split_recordings(thousand(), Division.LAST)
    drawn = split_recordings(thousand(), Division.RANDOM, seed=3)
    assert {r.number for r in first.test} == set(range(900, 1000))
    assert {r.number for r in last.test} == set(range(100))
    assert {r.number for r in drawn.test} not in [set(range(100)), set(range(900, 1000))]
    for splits in (first, last, drawn):
        sizes = [len(part) for part in (splits.train, splits.validation, splits.test)]
        assert sizes == [1620, 180, 200]
        for label in (0, 1):
            assert sum(r.label == label for r in splits.validation) == 90
        together = {*splits.train, *splits.validation, *splits.test}
        assert together == set(thousand())
    assert split_recordings(thousand(), Division.RANDOM, seed=3) == drawn
    assert split_recordings(thousand(), Division.RANDOM, seed=4) != drawn


def test_numbers_are_counted_and_not_spelled(tmp_path: Path) -> None:
    data = open_event_data(write_recordings(tmp_path / "r", ("cat",), count=30), SMALL)
    assert told(data.test) == [(0, 27), (0, 28), (0, 29)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"division": "random"}, "division='random', seed=None; 'random' needs a seed"),
        ({"seed": 1}, "division='first', seed=1; 'random' needs a seed, no other takes one"),
        ({"division": "middle"}, "division='middle'; give one of: first, last, random"),
    ],
)
def test_divisions_that_mean_nothing_are_refused(
    folder: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_event_data(folder, SMALL, **options)


def test_too_few_recordings_are_refused(tmp_path: Path) -> None:
    write_recordings(tmp_path / "r", ("cat",), count=2)
    with pytest.raises(DataError, match=r"cat' holds 2 recordings; .* at least 3 a class"):
        open_event_data(tmp_path / "r")


def test_folders_without_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nowhere'"):
        open_event_data(tmp_path / "nowhere")
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match=r"DIR/airplane/cifar10_airplane_0.aedat; it holds: cat"):
        open_event_data(tmp_path)


def test_names_without_a_number_of_their_own_are_refused(folder: Path) -> None:
    source = folder / "cat" / "cifar10_cat_3.aedat"
    double = folder / "cat" / "other_3.aedat"
    double.write_bytes(source.read_bytes())
    with pytest.raises(
        DataError, match=r"cat_3\.aedat' and '.*other_3\.aedat' have the same number"
    ):
        open_event_data(folder)
    double.rename(folder / "cat" / "other.aedat")
    with pytest.raises(DataError, match=r"other\.aedat' has no number at the end of its name"):
        open_event_data(folder)


def test_a_damaged_recording_is_named(folder: Path) -> None:
    damaged = folder / "dog" / "cifar10_dog_9.aedat"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"dog_9\.aedat', byte \d+: the last record has 7"):
        told(open_event_data(folder, SMALL).test)


def test_a_single_simulated_recording_labels_the_whole(folder: Path) -> None:
    events = events_from([(0, 1, 1, True)])
    write_aedat(folder / "cat" / "cifar10_cat_4.aedat", events, ("SIMULATED by somebody",))
    data = open_event_data(folder, SMALL)
    assert (data.simulated, data.name) == (True, "cifar10dvs-simulated")
    assert data.description.startswith("SIMULATED events, not a camera's (1 of them): 20 event")
    assert data.mean_images().name == "cifar10dvs-simulated"


def test_a_card_labels_the_whole(folder: Path) -> None:
    (folder / "dataset-card.json").write_text('{"simulated": true}')
    assert open_event_data(folder).description.startswith("SIMULATED events, not a camera's (all")
    (folder / "dataset-card.json").write_text('{"simulated": false}')
    assert not open_event_data(folder).simulated


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"simulated": "yes"}', "\xff"])
def test_a_damaged_card_is_refused(folder: Path, text: str) -> None:
    (folder / "dataset-card.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"dataset-card\.json'.*; it needs 'simulated', true or f"):
        open_event_data(folder)


def test_mean_images_are_the_mean_of_the_frames(folder: Path) -> None:
    data = open_event_data(folder, SMALL)
    images = data.mean_images()
    assert images.image_shape == (2, 16, 16)
    for split in ("train", "validation", "test"):
        for i in range(len(getattr(data, split))):
            (frames, label), (image, same) = getattr(data, split)[i], getattr(images, split)[i]
            assert label == same
            assert torch.equal(image, frames.mean(0))


def test_open_dataset_gives_the_mean_of_ten_frames(folder: Path) -> None:
    data = open_dataset(f"cifar10dvs:{folder}", size=32, mean=[0.0, 1.0], std=[1.0, 2.0])
    assert (data.name, data.image_shape, data.classes) == (
        "cifar10dvs",
        (2, 32, 32),
        ("cat", "dog"),
    )
    image, label = data.test[1]  # 10 events, all in one place
    assert label == 1
    assert image[1, 2, 1] == (10 / 10 - 1) / 2
    assert image[0].abs().sum() == 0
    with pytest.raises(DataError, match="size=30 does not divide"):
        open_dataset(f"cifar10dvs:{folder}", size=30)
    with pytest.raises(DataError, match=r"unknown data set 'cifar10dvs:'.*cifar10dvs:DIR"):
        open_dataset("cifar10dvs:")
