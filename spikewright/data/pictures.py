"""Data sets of pictures on disk, with one folder a class."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.image_data import ImageData, held_out, select
from spikewright.data.preprocessing import FilePreprocessing
from spikewright.errors import DataError
from spikewright.extras import require_extra

VALIDATION_FRACTION = 0.1
VALIDATION_SEED = 20250713
FOLDER_LAYOUT = "DIR/train/CLASS/*.png with DIR/test/CLASS/*.png or DIR/val/CLASS/*.png"


OnDamaged = Callable[[str], None]
"""Told the name of a picture that cannot be read, and is left out."""


class _DamagedPicture(DataError):  # noqa: N818 (it reads as a sentence)
    """The content of a file is no whole picture."""


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """A torchvision data set of (PIL picture, label), preprocessed and checked one by one.

    Args:
        source: the torchvision data set.
        preprocess: from a picture to an image [3, H, W].
        where: what to call the data set in errors.
        on_damaged: told of every damaged picture that batches leave out; None refuses them.

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
        found: list[tuple[Tensor, int]] = []
        for index in indices:
            try:
                found.append(self[index])
            except _DamagedPicture:
                if self._on_damaged is None:
                    raise
                self._on_damaged(self._name_of(index).strip("'"))
        return found

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
            name = self._name_of(index)
            if error.errno is not None:  # not the picture's fault: no permission, a broken disk
                told = f"{self._where}: {name} cannot be opened: {error.strerror}"
                raise DataError(told) from error
            raise self._damaged(index, error) from error
        except _decoding_errors() as error:
            raise self._damaged(index, error) from error
        return self._preprocess(picture), int(label)

    def _damaged(self, index: int, error: Exception) -> _DamagedPicture:
        return _DamagedPicture(
            f"{self._where}: {self._name_of(index)} cannot be read as a picture: {error}"
        )

    def _name_of(self, index: int) -> str:
        samples = getattr(self._source, "samples", None)
        return f"image {index}" if samples is None else f"'{samples[index][0]}'"


def _decoding_errors() -> tuple[type[Exception], ...]:
    """What PIL's decoders raise of a damaged picture, and of one of more pixels than they take."""
    too_large = require_extra("PIL.Image", "vision", "reading pictures").DecompressionBombError
    return SyntaxError, ValueError, EOFError, struct.error, zlib.error, too_large


def open_image_folder(
    folder: Path, preprocess: FilePreprocessing, on_damaged: OnDamaged | None = None
) -> ImageData:
    """Open a folder with one folder of pictures a class, in each of its splits.

    `DIR/train` is needed, and `DIR/test` or `DIR/val`. If both of these are there, `val` is
    the validation split; if one, it is the test split, and the validation split is the last
    10 % of a fixed permutation of `DIR/train`.

    Raises:
        DataError: if a split is missing, a class folder is empty, or splits differ in classes.
        MissingExtra: if torchvision is not installed.
    """
    if not folder.is_dir():
        raise DataError(f"imagefolder: there is no folder '{folder}'")
    splits = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    if "train" not in splits or len(splits) == 1:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
        raise DataError(
            f"imagefolder: '{folder}' needs the layout {FOLDER_LAYOUT}; it holds: {found}"
        )
    sources = {name: _read_split(path) for name, path in splits.items()}
    classes: dict[str, list[str]] = {name: source.classes for name, source in sources.items()}
    _check_same_classes(folder, classes)
    sets = {
        name: PictureDataset(source, preprocess, f"imagefolder, {name} split", on_damaged)
        for name, source in sources.items()
    }
    names = tuple(classes["train"])
    if len(sets) == 3:
        return _assemble("imagefolder", sets["train"], sets["test"], names, sets["val"])
    test = sets["test"] if "test" in sets else sets["val"]
    return _assemble("imagefolder", sets["train"], test, names)


def _read_split(folder: Path) -> Any:
    datasets = require_extra("torchvision.datasets", "vision", "the data set 'imagefolder'")
    try:
        return datasets.ImageFolder(str(folder))
    except FileNotFoundError as error:  # no class folder at all, or one without pictures
        raise DataError(
            f"imagefolder: '{folder}': {error}; every class needs a folder with at least one "
            "picture (png, jpg, webp, ...) in it"
        ) from error


def _check_same_classes(folder: Path, classes: dict[str, list[str]]) -> None:
    for name, names in classes.items():
        if names != classes["train"]:
            differing = sorted(set(names) ^ set(classes["train"]))
            raise DataError(
                f"imagefolder: '{folder}': the class folders of 'train' and '{name}' differ in: "
                f"{', '.join(differing)}; labels would not mean the same"
            )


def _assemble(
    name: str,
    train: PictureDataset,
    test: PictureDataset,
    classes: tuple[str, ...],
    validation: PictureDataset | None = None,
) -> ImageData:
    """Join the splits; without a validation split, one is held out of the training set."""
    _check_same_shape(train, test)
    shape = _shape(train)
    if validation is not None:
        _check_same_shape(train, validation)
        return ImageData(name, train, validation, test, classes, shape)
    kept, apart = held_out(len(train), VALIDATION_FRACTION, VALIDATION_SEED)
    if not kept:
        raise DataError(f"{name}: one training image is too few to keep any for validation")
    return ImageData(name, select(train, kept), select(train, apart), test, classes, shape)


def _check_same_shape(first: PictureDataset, second: PictureDataset) -> None:
    if first.image_shape != second.image_shape:
        raise DataError(
            f"images of the splits differ in shape: {tuple(first.image_shape)} and "
            f"{tuple(second.image_shape)}; give size=... to bring all to one size"
        )


def _shape(dataset: PictureDataset) -> tuple[int, int, int]:
    channels, height, width = dataset.image_shape
    return channels, height, width
