"""Data sets of pictures in folders: one folder a split, and in it one folder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spikewright.data.image_data import ImageData
from spikewright.data.pictures import OnDamaged, class_folders, picture_data
from spikewright.data.preprocessing import FilePreprocessing
from spikewright.data.splits import last_of_permutation
from spikewright.errors import DataError

NAME = "imagefolder"
VALIDATION_FRACTION = 0.1
VALIDATION_SEED = 20250713
LAYOUT = "DIR/train/CLASS/*.png with DIR/test/CLASS/*.png or DIR/val/CLASS/*.png"


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
    splits = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    if "train" not in splits or len(splits) == 1:
        entries = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
        raise DataError(f"{NAME}: '{folder}' needs the layout {LAYOUT}; it holds: {entries}")
    if "test" not in splits:
        splits["test"] = splits.pop("val")
    sources = {name: class_folders(NAME, path) for name, path in splits.items()}
    return picture_data(NAME, sources, preprocess, _hold_out, on_damaged)


def _hold_out(labels: Sequence[int]) -> tuple[list[int], list[int]]:
    if len(labels) < 2:
        raise DataError(f"{NAME}: one training image is too few to keep any for validation")
    return last_of_permutation(len(labels), VALIDATION_FRACTION, VALIDATION_SEED)
