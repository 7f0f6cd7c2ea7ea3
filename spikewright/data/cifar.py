"""CIFAR-10 and CIFAR-100, in whichever of their three layouts a folder holds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from spikewright.data.image_data import ImageData, select
from spikewright.data.pictures import OnDamaged, PictureDataset
from spikewright.data.preprocessing import FilePreprocessing
from spikewright.data.splits import stratified
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
        folder: as the published archive names it.
        train: its files, in order.
        test: its file.
        names: its list of class names.
        label_bytes: bytes before the pixels; the last of them is the label.
        classes: how many.
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
        preprocess: from a picture to an image.
        validation: images held out of the training set; None holds out a tenth.
        on_damaged: see `PictureDataset`.

    Raises:
        DataError: if no layout is found, files are damaged, the number of classes is not that
            of the data set, or `validation` leaves nothing to train on.
        MissingExtra: if torchvision is not installed.
    """
    if not folder.is_dir():
        raise DataError(f"{name}: there is no folder '{folder}'")
    train, test = _sources(name, folder)
    classes: list[str] = train.classes
    if list(test.classes) != list(classes):
        raise DataError(f"{name}: '{folder}': the classes of 'train' and 'test' differ")
    sets = (
        PictureDataset(train, preprocess, f"{name}, training set", on_damaged),
        PictureDataset(test, preprocess, f"{name}, test set", on_damaged),
    )
    count = round(VALIDATION_FRACTION * len(sets[0])) if validation is None else validation
    kept, apart = stratified(list(train.targets), count, VALIDATION_SEED, name)
    channels, height, width = sets[0].image_shape
    return ImageData(
        name=name,
        train=select(sets[0], kept),
        validation=select(sets[0], apart),
        test=sets[1],
        classes=tuple(classes),
        image_shape=(channels, height, width),
    )


def _sources(name: str, folder: Path) -> tuple[Any, Any]:
    datasets = require_extra("torchvision.datasets", "vision", f"the data set '{name}'")
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return _class_folders(name, folder, datasets)
    binary = _BINARY[name]
    for place in (folder, folder / binary.folder):
        if (place / binary.test).is_file():
            names = _class_names(name, place, binary)
            train = _Records(name, [place / file for file in binary.train], binary, names)
            return train, _Records(name, [place / binary.test], binary, names)
    return _pickled(name, folder, datasets)


def _class_folders(name: str, folder: Path, datasets: Any) -> tuple[Any, Any]:
    try:
        train, test = (datasets.ImageFolder(str(folder / part)) for part in ("train", "test"))
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: '{folder}': {error}; every class needs a folder with at least one picture"
        ) from error
    if len(train.classes) != _BINARY[name].classes:
        raise DataError(
            f"{name}: '{folder / 'train'}' has {len(train.classes)} class folders, "
            f"{name} has {_BINARY[name].classes}; open other pictures as imagefolder:DIR"
        )
    return train, test


def _pickled(name: str, folder: Path, datasets: Any) -> tuple[Any, Any]:
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    try:
        train, test = (kind(str(folder), train=part, download=False) for part in (True, False))
    except RuntimeError as error:
        raise DataError(
            f"{name}: '{folder}' does not hold '{kind.base_folder}' with the original files "
            f"(missing, or an MD5 sum differs), nor '{_BINARY[name].folder}', nor class folders "
            f"in train/ and test/; unpack the published '{kind.filename}' into it"
        ) from error
    return train, test


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
    names = file.read_text(encoding="utf-8").split()
    if len(names) != layout.classes:
        raise DataError(
            f"{name}: '{file}' holds {len(names)} class names, {name} has {layout.classes}"
        )
    return names
