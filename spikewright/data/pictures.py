"""Data sets of pictures, read one by one and checked, and put together as splits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from spikewright.data.image_data import ImageData
from spikewright.data.preprocessing import FilePreprocessing
from spikewright.errors import DataError
from spikewright.extras import require_extra
from spikewright.files import printable

OnDamaged = Callable[[str], None]
"""A callback that receives the name of a picture that cannot be read, and is left out."""
HoldOut = Callable[[Sequence[int]], tuple[list[int], list[int]]]
"""A function of the labels of a training set that gives the indices (kept, held out)."""
_AT_MOST_16_BITS = ("PNG", "PPM")
"""The formats whose grey pictures Pillow may open with 32 bits although they have at most 16."""


class _DamagedPicture(DataError):  # noqa: N818 (it reads as a sentence)
    """The content of a file is no whole picture."""


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """A torchvision data set of (PIL picture, label), preprocessed and checked one by one.

    Args:
        source: the torchvision data set.
        preprocess: turns a picture into an image [3, H, W].
        where: the data set, as errors name it.
        on_damaged: called for every damaged picture that batches leave out; None refuses them.

    Raises:
        DataError: by `dataset[i]`, if a file is not a readable picture or an image has another
            shape than the first; when made, if no picture can be read.
    """

    def __init__(
        self,
        source: Any,
        preprocess: FilePreprocessing,
        where: str,
        on_damaged: OnDamaged | None = None,
    ) -> None:
        self._source = source
        self._preprocess = preprocess
        self._where = where
        self._on_damaged = on_damaged
        self.image_shape = self._first_shape()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self._read(index)
        if image.shape != self.image_shape:
            raise DataError(
                f"{self._where}: {self._name_of(index)} has shape {tuple(image.shape)}, the first "
                f"has {tuple(self.image_shape)}; give size=... to bring all to one size"
            )
        return image, label

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """What a DataLoader asks for a batch: damaged pictures may be left out."""
        pairs: list[tuple[Tensor, int]] = []
        for index in indices:
            try:
                pairs.append(self[index])
            except _DamagedPicture:
                if self._on_damaged is None:
                    raise
                self._on_damaged(self._name_of(index).strip("'"))
        return pairs

    def stored(self, index: int) -> tuple[bytes, int]:
        """The bytes and the label of a picture: those of its file where it has one of its own.

        Raises:
            DataError: if the file cannot be opened.
        """
        samples = getattr(self._source, "samples", None)
        if samples is None:
            picture, label = self._source[index]
            return f"{picture.mode} {picture.size} ".encode() + picture.tobytes(), int(label)
        path, label = samples[index]
        try:
            return Path(path).read_bytes(), int(label)
        except OSError as error:
            raise self._unopened(index, error) from error

    def _first_shape(self) -> torch.Size:
        """The shape of the first picture that can be read."""
        for index in range(len(self)):
            try:
                return self._read(index)[0].shape
            except _DamagedPicture:
                if self._on_damaged is None:
                    raise
        raise DataError(f"{self._where}: none of its {len(self)} pictures can be read")

    def _read(self, index: int) -> tuple[Tensor, int]:
        try:
            picture, label = self._source[index]
        except OSError as error:
            if error.errno is not None:  # not the picture's fault: no permission, a broken disk
                raise self._unopened(index, error) from error
            raise self._damaged(index, error) from error
        except _decoding_errors() as error:
            raise self._damaged(index, error) from error
        return self._preprocess(picture), int(label)

    def _unopened(self, index: int, error: OSError) -> DataError:
        name = self._name_of(index)
        return DataError(f"{self._where}: {name} cannot be opened: {error.strerror}")

    def _damaged(self, index: int, error: Exception) -> _DamagedPicture:
        return _DamagedPicture(
            f"{self._where}: {self._name_of(index)} cannot be read as a picture: {error}"
        )

    def _name_of(self, index: int) -> str:
        samples = getattr(self._source, "samples", None)
        return f"image {index}" if samples is None else f"'{printable(samples[index][0])}'"


def _decoding_errors() -> tuple[type[Exception], ...]:
    """What PIL's decoders raise of a damaged picture, and of one of more pixels than they take."""
    too_large = require_extra("PIL.Image", "vision", "reading pictures").DecompressionBombError
    return SyntaxError, ValueError, EOFError, struct.error, zlib.error, too_large


def picture_data(
    name: str,
    sources: Mapping[str, Any],
    preprocess: FilePreprocessing,
    hold_out: HoldOut,
    on_damaged: OnDamaged | None,
) -> ImageData:
    """Put the splits of a data set of pictures together.

    Args:
        name: the data set, as errors and results name it.
        sources: torchvision's data sets by split: `"train"`, `"test"` and, where the data set has
            one of its own, `"val"`.
        preprocess: turns a picture into an image [3, H, W].
        hold_out: chooses the validation split from the training set where there is no `"val"`.
        on_damaged: see `PictureDataset`.

    Raises:
        DataError: if splits differ in their classes or in the shape of their images.
    """
    classes = list[str](sources["train"].classes)
    for split, source in sources.items():
        if source.classes != classes:
            differing = ", ".join(sorted(set(source.classes) ^ set(classes))) or "their order"
            raise DataError(
                f"{name}: the classes of 'train' and '{split}' differ in: {differing}; labels "
                "would not mean the same"
            )
    sets = {
        split: PictureDataset(source, preprocess, f"{name}, {split} split", on_damaged)
        for split, source in sources.items()
    }
    train = sets["train"]
    for split in sets.values():
        if split.image_shape != train.image_shape:
            raise DataError(
                f"images of the splits differ in shape: {tuple(train.image_shape)} and "
                f"{tuple(split.image_shape)}; give size=... to bring all to one size"
            )
    channels, height, width = train.image_shape
    shape, names = (channels, height, width), tuple(map(printable, classes))
    if "val" in sets:
        return ImageData(name, train, sets["val"], sets["test"], names, shape)
    kept, apart = hold_out(list(sources["train"].targets))
    return ImageData(name, Subset(train, kept), Subset(train, apart), sets["test"], names, shape)


@dataclass(frozen=True)
class ClassFolders:
    """Pictures in one folder a class, as torchvision's `ImageFolder` gives them.

    Attributes:
        classes: the names of the folders, in order.
        samples: file and label of every picture.
    """

    classes: list[str]
    samples: list[tuple[str, int]]

    @property
    def targets(self) -> list[int]:
        """The label of every picture."""
        return [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        file, label = self.samples[index]
        return _rgb(file), label


def class_folders(name: str, folder: Path) -> ClassFolders:
    """A folder with one folder of pictures a class; folders that are hidden by a dot are none.

    Raises:
        DataError: if there is no class folder, or one without pictures.
        MissingExtra: if torchvision is not installed.
    """
    folders = require_extra("torchvision.datasets", "vision", f"the data set '{name}'").folder
    try:
        found, _ = folders.find_classes(str(folder))
        classes = [one for one in found if not one.startswith(".")]
        if not classes:
            raise FileNotFoundError("all folders in it are hidden by a dot")
        labels = {one: label for label, one in enumerate(classes)}
        samples = folders.make_dataset(str(folder), labels, extensions=folders.IMG_EXTENSIONS)
        return ClassFolders(classes, samples)
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: '{folder}': {error}; every class needs a folder with at least one "
            "picture (png, jpg, webp, ...) in it"
        ) from error


def _rgb(file: str) -> Any:
    """The picture in a file, as 8-bit RGB; of 16 bits the upper half is kept.

    Raises:
        ValueError: for pixels whose black and white nobody knows.
    """
    images = require_extra("PIL.Image", "vision", "reading pictures")
    with images.open(file) as opened:
        deep = opened.mode == "F" or opened.mode.startswith("I")
        return (_in_eight_bits(opened) if deep else opened).convert("RGB")


def _in_eight_bits(picture: Any) -> Any:
    """A grey picture of more than 8 bits; `convert` would cut its values off at 255."""
    if picture.mode == "F":
        raise ValueError("floating-point pixels (mode F) have no known white: save it as integers")
    values = np.asarray(picture).astype(np.int64)
    deep = picture.mode == "I" and picture.format not in _AT_MOST_16_BITS
    if values.min() < 0 or values.max() >= 1 << 16 or (deep and 0 < values.max() < 256):
        raise ValueError(
            f"pixels from {values.min()} to {values.max()} (mode {picture.mode}) have no known "
            "white: save it with 8 or 16 bits"
        )
    images = require_extra("PIL.Image", "vision", "reading pictures")
    return images.fromarray((values >> 8).astype(np.uint8))
