"""CIFAR from class folders and from the published binary files, and every refusal on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.data import open_dataset
from spikewright.data.in_memory import in_memory
from spikewright.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="needs the extra 'vision'")
pytest.importorskip("torchvision", reason="needs the extra 'vision'")


def records(count: int, label_bytes: int, classes: int, seed: int) -> np.ndarray:
    """Records of the binary version: labels in turn, random pixels."""
    made = np.random.default_rng(seed).integers(0, 256, (count, label_bytes + 3072), np.uint8)
    made[:, label_bytes - 1] = np.arange(count) % classes
    return made


def write_cifar10(folder: Path, count: int = 20) -> np.ndarray:
    """Write the binary version; returns the pixels [5 * count, 3, 32, 32] of the training set."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = [records(count, 1, 10, seed) for seed in range(5)]
    for number, batch in enumerate(batches, 1):
        batch.tofile(folder / f"data_batch_{number}.bin")
    records(count, 1, 10, 99).tofile(folder / "test_batch.bin")
    (folder / "batches.meta.txt").write_text("".join(f"class{i}\n" for i in range(10)) + "\n")
    return np.concatenate(batches)[:, 1:].reshape(-1, 3, 32, 32)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
def test_the_binary_version_opens_with_its_pixels(tmp_path: Path, below: str) -> None:
    pixels = write_cifar10(tmp_path / below)
    data = open_dataset(f"cifar10:{tmp_path}", validation=30)
    assert data.image_shape == (3, 32, 32)
    assert data.classes == tuple(f"class{i}" for i in range(10))
    train, validation = in_memory(data.train), in_memory(data.validation)
    assert (len(train), len(validation), len(in_memory(data.test))) == (70, 30, 20)
    assert validation.labels.bincount().tolist() == [3] * 10
    assert train.images.dtype == torch.uint8
    found = torch.cat([train.images, validation.images]).numpy().reshape(100, -1)
    assert {row.tobytes() for row in found} == {row.tobytes() for row in pixels.reshape(100, -1)}
    image, label = data.test[3]
    expected = records(20, 1, 10, 99)[3, 1:].reshape(3, 32, 32)
    assert (image * 255).round().byte().numpy().tolist() == expected.tolist()
    assert label == 3


def test_cifar100_takes_the_fine_label(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    records(200, 2, 100, 0).tofile(folder / "train.bin")
    records(100, 2, 100, 1).tofile(folder / "test.bin")
    (folder / "fine_label_names.txt").write_text("\n".join(f"fine{i}" for i in range(100)))
    data = open_dataset(f"cifar100:{tmp_path}", validation=100)
    assert data.classes[99] == "fine99"
    assert in_memory(data.test).labels.tolist() == list(range(100))
    assert in_memory(data.validation).labels.bincount().tolist() == [1] * 100


def write_folders(folder: Path, classes: int = 10) -> None:
    for part, count in (("train", 4), ("test", 1)):
        for label in range(classes):
            place = folder / part / f"class{label}"
            place.mkdir(parents=True)
            for i in range(count):
                pixels = np.full((32, 32, 3), 10 * label + i, np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")


def test_class_folders_open(tmp_path: Path) -> None:
    write_folders(tmp_path)
    data = open_dataset(f"cifar10:{tmp_path}", validation=10)
    validation = in_memory(data.validation)
    assert validation.labels.tolist() == list(range(10))
    assert (validation.images[:, 0, 0, 0] // 10).tolist() == list(range(10))
    assert (len(data.train), len(open_dataset(f"cifar10:{tmp_path}").validation)) == (30, 4)


def test_class_folders_of_other_pictures_are_refused(tmp_path: Path) -> None:
    write_folders(tmp_path, classes=3)
    with pytest.raises(DataError, match="has 3 class folders, cifar10 has 10; open other picture"):
        open_dataset(f"cifar10:{tmp_path}")


def test_damaged_binary_files_are_refused(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    batch = tmp_path / "data_batch_3.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"data_batch_3.bin' has 61459 bytes, not a multiple of 30"):
        open_dataset(f"cifar10:{tmp_path}")
    batch.write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(DataError, match="holds the label 11, but cifar10 has 10 classes"):
        open_dataset(f"cifar10:{tmp_path}")
    batch.unlink()
    with pytest.raises(DataError, match=r"data_batch_3.bin' is missing; unpack the whole"):
        open_dataset(f"cifar10:{tmp_path}")
    batch.write_bytes(whole)
    (tmp_path / "batches.meta.txt").write_text("cat dog")
    with pytest.raises(DataError, match="holds 2 class names, cifar10 has 10"):
        open_dataset(f"cifar10:{tmp_path}")
    (tmp_path / "batches.meta.txt").write_bytes(b"cat\n\xc1dog")
    with pytest.raises(DataError, match=r"meta.txt' is no text \(invalid start byte at byte 4\)"):
        open_dataset(f"cifar10:{tmp_path}")
    (tmp_path / "batches.meta.txt").unlink()
    with pytest.raises(DataError, match="with the class names is missing"):
        open_dataset(f"cifar10:{tmp_path}")


def test_a_validation_size_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    with pytest.raises(DataError, match="100 validation images cannot be held out of 100"):
        open_dataset(f"cifar10:{tmp_path}", validation=100)
    with pytest.raises(DataError, match="validation=3 has no effect on 'digits'"):
        open_dataset("digits", validation=3)


def test_values_that_no_byte_holds_stay_float() -> None:
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    data = open_dataset("digits")
    held = in_memory(data.test)
    assert held.images.dtype == torch.float32
    assert torch.equal(held.images[7], data.test[7][0])
    with pytest.raises(DataError, match=r"outside 0 \.\. 1; open the data set without mean"):
        in_memory(open_dataset("digits", mean=[0.5], std=[0.5]).test)
