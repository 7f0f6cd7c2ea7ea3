"""Images told apart by what is stored of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from spikewright.data import open_dataset
from spikewright.data.content import content_hash
from spikewright.data.events import open_event_data
from spikewright.errors import DataError

from .events.builders import write_recordings
from .test_cifar import records, write_cifar10
from .test_pictures import write_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        write_pictures(tmp_path / "first" / split, ("cat", "dog"), 3)
    return tmp_path / "first"


def hash_of(folder: Path, split: str = "test") -> str:
    return content_hash(getattr(open_dataset(f"imagefolder:{folder}"), split))


def test_pictures_are_told_by_their_bytes_labels_and_order(folder: Path) -> None:
    before, validation = hash_of(folder), hash_of(folder, "validation")
    elsewhere = Path(shutil.copytree(folder, folder.parent / "second"))
    (elsewhere / "test" / "cat" / "002.png").rename(elsewhere / "test" / "cat" / "003.png")
    assert hash_of(elsewhere) == before
    (elsewhere / "test" / "cat" / "003.png").rename(elsewhere / "test" / "dog" / "-1.png")
    assert hash_of(elsewhere) != before
    first, second = (folder / "test" / "cat" / f"00{number}.png" for number in (0, 1))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    assert hash_of(folder) != before
    assert hash_of(folder, "validation") == validation


def test_a_damaged_picture_counts_and_one_that_is_gone_is_named(folder: Path) -> None:
    before, path = hash_of(folder), folder / "test" / "dog" / "001.png"
    path.write_bytes(path.read_bytes()[:40])
    assert hash_of(folder) != before
    test = open_dataset(f"imagefolder:{folder}").test
    path.unlink()
    with pytest.raises(DataError, match=r"test split: '.*001.png' cannot be opened: No such file"):
        content_hash(test)


def test_records_are_told_by_their_pixels(tmp_path: Path) -> None:
    write_cifar10(tmp_path)

    def hashed() -> tuple[str, str]:
        data = open_dataset(f"cifar10:{tmp_path}")
        return content_hash(data.test), content_hash(data.validation)

    before = hashed()
    records(20, 1, 10, 100).tofile(tmp_path / "test_batch.bin")
    after = hashed()
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_recordings_are_told_by_their_bytes_as_images_and_as_frames(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path / "recordings")
    data = open_event_data(folder)
    before = content_hash(data.test)
    assert content_hash(data.mean_images().test) == content_hash(data.in_frames(3).test) == before
    path = data.test.recordings[0].path
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    assert content_hash(data.test) != before
    path.write_bytes(content)
    assert content_hash(data.test) == before
    path.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        content_hash(data.test)


class Held(Dataset[tuple[Tensor, int]]):
    """Images in memory."""

    def __init__(self, images: Tensor, labels: list[int]) -> None:
        self._pairs = list(zip(images, labels, strict=True))

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._pairs[index]


def test_images_in_memory_are_told_by_their_values() -> None:
    images = torch.rand(4, 1, 2, 2)
    held = Held(images, [0, 1, 2, 3])
    before = content_hash(held)
    assert content_hash(Subset(held, [0, 1, 2, 3])) == before
    assert content_hash(Subset(held, [0, 1, 2])) != before
    assert content_hash(Subset(held, [1, 0, 2, 3])) != before
    assert content_hash(Held(images, [3, 2, 1, 0])) != before
    assert content_hash(Held(images + 1, [0, 1, 2, 3])) != before
