"""CIFAR-10 and CIFAR-100, in whichever of their three layouts a folder holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from spikewright.data.image_data import ImageData
from spikewright.data.pictures import OnDamaged, class_folders, picture_data
from spikewright.data.preprocessing import FilePreprocessing
from spikewright.data.splits import stratified
from spikewright.data.words import words_of
from spikewright.errors import DataError
from spikewright.extras import require_extra

VALIDATION_SEED = 20250713
VALIDATION_FRACTION = 0.1
SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE


@dataclass(frozen=True)
class _Binary:
    """The "binary version" of a data set: records of labels and pixels, one after another.

    Attributes:
        folder: the name of the folder in the published archive.
        train: the files of the training set, in order.
        test: the file of the test set.
        names: the file with the class names.
        label_bytes: the number of bytes before the pixels; the last of them is the label.
        classes: the number of classes.
    """

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int
    classes: int


_BINARY = {
    "cifar10": _Binary(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        1,
        10,
    ),
    "cifar100": _Binary(
        "cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 2, 100
    ),
}


def open_cifar(
    name: str,
    folder: Path,
    preprocess: FilePreprocessing,
    validation: int | None = None,
    on_damaged: OnDamaged | None = None,
) -> ImageData:
    """Open CIFAR-10 or CIFAR-100.

    Three layouts are known, and looked for in this order:

    * `DIR/train/CLASS/*.png` and `DIR/test/CLASS/*.png`, one folder a class;
    * the published "binary version": `*.bin` files in DIR, or in `cifar-10-batches-bin` or
      `cifar-100-binary` below it;
    * the published "python version", `cifar-10-batches-py` or `cifar-100-python`. Its files are
      pickles: torchvision compares the MD5 sum of every one with that of the original before it
      opens any, so no other pickle is ever read.

    The validation split is drawn from the training set, the same share of every class, by a
    seed that never changes; which images it holds depends on their order in the layout.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        folder: the folder that holds one of the layouts.
        preprocess: turns a picture into an image.
        validation: the number of images held out of the training set; None holds out a tenth.
        on_damaged: see `PictureDataset`.

    Raises:
        DataError: if no layout is found, files are damaged, the number of classes is not that
            of the data set, or `validation` leaves nothing to train on.
        MissingExtra: if torchvision is not installed.
    """

    def hold_out(labels: Sequence[int]) -> tuple[list[int], list[int]]:
        count = round(VALIDATION_FRACTION * len(labels)) if validation is None else validation
        return stratified(labels, count, VALIDATION_SEED, name)

    return picture_data(name, _sources(name, folder), preprocess, hold_out, on_damaged)


def _sources(name: str, folder: Path) -> dict[str, Any]:
    """The training and test set of the first layout that the folder holds."""
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return _class_folders(name, folder)
    binary = _BINARY[name]
    for place in (folder, folder / binary.folder):
        if (place / binary.test).is_file():
            names = _class_names(name, place, binary)
            parts = {"train": binary.train, "test": (binary.test,)}
            return {
                split: _Records(name, [place / file for file in files], binary, names)
                for split, files in parts.items()
            }
    return _pickled(name, folder)


def _class_folders(name: str, folder: Path) -> dict[str, Any]:
    sources = {split: class_folders(name, folder / split) for split in ("train", "test")}
    count, expected = len(sources["train"].classes), _BINARY[name].classes
    if count != expected:
        raise DataError(
            f"{name}: '{folder / 'train'}' has {count} class folders, {name} has {expected}; open "
            "other pictures as imagefolder:DIR"
        )
    return sources


def _pickled(name: str, folder: Path) -> dict[str, Any]:
    datasets = require_extra("torchvision.datasets", "vision", f"the data set '{name}'")
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    try:
        return {
            split: kind(str(folder), train=split == "train", download=False)
            for split in ("train", "test")
        }
    except RuntimeError as error:
        raise DataError(
            f"{name}: '{folder}' does not hold '{kind.base_folder}' with the original files "
            f"(missing, or an MD5 sum differs), nor '{_BINARY[name].folder}', nor class folders "
            f"in train/ and test/; unpack the published '{kind.filename}' into it"
        ) from error


class _Records(Dataset[tuple[Any, int]]):
    """Pictures in binary records: `label_bytes` bytes, then red, green and blue rows."""

    def __init__(self, name: str, files: list[Path], layout: _Binary, classes: list[str]) -> None:
        size = layout.label_bytes + PIXEL_BYTES
        records = np.concatenate([_read_records(name, file, size) for file in files])
        labels = records[:, layout.label_bytes - 1]
        if labels.max() >= layout.classes:
            raise DataError(
                f"{name}: '{files[0].parent}' holds the label {labels.max()}, but {name} has "
                f"{layout.classes} classes; the files are damaged or of another data set"
            )
        self._pixels = records[:, layout.label_bytes :].reshape(-1, 3, SIDE, SIDE)
        self.targets: list[int] = labels.tolist()
        self.classes = classes

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = require_extra("PIL.Image", "vision", "reading images")
        pixels = np.ascontiguousarray(self._pixels[index].transpose(1, 2, 0))
        return image.fromarray(pixels), self.targets[index]


def _read_records(name: str, file: Path, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    if not file.is_file():
        raise DataError(f"{name}: '{file}' is missing; unpack the whole archive again")
    content = np.fromfile(file, dtype=np.uint8)
    if len(content) == 0 or len(content) % size:
        raise DataError(
            f"{name}: '{file}' has {len(content)} bytes, not a multiple of {size}, the size of a "
            "record; it was cut off or is of another data set: unpack the archive again"
        )
    return content.reshape(-1, size)


def _class_names(name: str, folder: Path, layout: _Binary) -> list[str]:
    file = folder / layout.names
    if not file.is_file():
        raise DataError(f"{name}: '{file}' with the class names is missing; it is in the archive")
    names = words_of(file)
    if len(names) != layout.classes:
        raise DataError(
            f"{name}: '{file}' holds {len(names)} class names, {name} has {layout.classes}"
        )
    return names
