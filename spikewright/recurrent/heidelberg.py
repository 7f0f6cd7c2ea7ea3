"""The Spiking Heidelberg Digits and the Spiking Speech Commands, from their HDF5 files.

A file holds `spikes/times` and `spikes/units`, one list of numbers for every sample: seconds, and
the number of one of 700 channels of an artificial cochlea; `labels`; and `extra/keys`, the names of
the classes. Cramer, Stradmann, Schemmel, Zenke, IEEE TNNLS 2020, arXiv 1910.07407.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from spikewright.data.splits import stratified
from spikewright.errors import DataError
from spikewright.extras import require_extra
from spikewright.files import AnyPath
from spikewright.recurrent.sequences import SequenceData

CHANNELS = 700
VALIDATION_FRACTION = 0.1
SPLIT_SEED = 20261128


class HeidelbergFile(Dataset[tuple[Tensor, int]]):
    """One file of recordings, as spike counts in time steps.

    The spikes of all samples are held in memory; frames are made when a sample is asked for.

    Args:
        path: of an HDF5 file.
        steps: T, at least 1.
        step_seconds: the length of a step, above 0. Spikes after T steps are left out.

    Raises:
        DataError: for a file that is missing or has another layout, or a number out of its range.
        MissingExtra: if h5py is not installed.
    """

    def __init__(self, path: Path, steps: int = 250, step_seconds: float = 0.004) -> None:
        h5py: Any = require_extra("h5py", "hdf5", "a data set in HDF5")
        if steps < 1 or not step_seconds > 0:
            raise DataError(
                f"steps must be at least 1 and step_seconds above 0, got {steps} and {step_seconds}"
            )
        self.steps = steps
        if not path.is_file():
            raise DataError(f"'{path}' is missing; download it from zenkelab.org and unpack it")
        try:
            with h5py.File(path, "r") as file:
                times = [torch.as_tensor(one, dtype=torch.float64) for one in file["spikes/times"]]
                units = [torch.as_tensor(one.astype("int64")) for one in file["spikes/units"]]
                self.labels = torch.as_tensor(file["labels"][:].astype("int64"))
                self.classes = tuple(_text(name) for name in file["extra/keys"][:])
        except (OSError, KeyError, AttributeError, ValueError) as error:
            raise DataError(
                f"'{path}' is no file of spikes: it needs spikes/times, spikes/units, labels and "
                f"extra/keys ({error})"
            ) from error
        _check(path, times, units, self.labels, len(self.classes))
        self._cells = [
            (step * CHANNELS + where)[step < steps]
            for step, where in zip(
                (torch.floor(t / step_seconds).long() for t in times), units, strict=True
            )
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        cells = self._cells[index]
        counts = torch.bincount(cells, minlength=self.steps * CHANNELS)
        return counts.view(self.steps, CHANNELS).float(), int(self.labels[index])


def open_heidelberg(
    folder: AnyPath, *, steps: int = 250, step_seconds: float = 0.004
) -> SequenceData:
    """Open the Spiking Heidelberg Digits or the Spiking Speech Commands.

    Args:
        folder: holds `shd_train.h5` and `shd_test.h5`, or `ssc_train.h5`, `ssc_valid.h5` and
            `ssc_test.h5`. Of the digits a tenth of each class of the training file is held out for
            validation, always the same.
        steps: T, at least 1.
        step_seconds: the length of a step. The paper on adaptive neurons takes 250 of 4 ms.

    Returns:
        Spike counts `[T, 700]`, with the file's own classes.

    Raises:
        DataError: if files are missing, damaged or do not fit together.
        MissingExtra: if h5py is not installed: `pip install 'spikewright[hdf5]'`.
    """
    folder = Path(folder)
    name = next((n for n in ("shd", "ssc") if (folder / f"{n}_train.h5").is_file()), None)
    if name is None:
        raise DataError(f"'{folder}' holds neither shd_train.h5 nor ssc_train.h5")
    train, test = (
        HeidelbergFile(folder / f"{name}_{split}.h5", steps, step_seconds)
        for split in ("train", "test")
    )
    if name == "ssc":
        fitted, chosen = train, HeidelbergFile(folder / "ssc_valid.h5", steps, step_seconds)
    else:
        count = max(1, round(VALIDATION_FRACTION * len(train)))
        kept, held = stratified(train.labels.tolist(), count, SPLIT_SEED, name)
        fitted, chosen = Subset(train, kept), Subset(train, held)
    for split, file in (("valid", chosen), ("test", test)):
        if isinstance(file, HeidelbergFile) and file.classes != train.classes:
            raise DataError(
                f"the classes of '{folder / f'{name}_{split}.h5'}' are not those of "
                f"'{name}_train.h5', or in another order: labels would not mean the same"
            )
    return SequenceData(name, fitted, chosen, test, train.classes, steps, CHANNELS)


def _check(
    path: Path, times: Sequence[Tensor], units: Sequence[Tensor], labels: Tensor, classes: int
) -> None:
    if not len(times) == len(units) == len(labels):
        raise DataError(
            f"'{path}' has {len(times)} lists of times, {len(units)} of units and {len(labels)} "
            "labels: there must be as many of each"
        )
    for number, (when, where) in enumerate(zip(times, units, strict=True)):
        fits = when.shape == where.shape and bool(((where >= 0) & (where < CHANNELS)).all())
        if not fits or not bool(((when >= 0) & when.isfinite()).all()):
            raise DataError(
                f"'{path}', sample {number}: every spike has a time of at least 0 s and a unit in "
                f"0 .. {CHANNELS - 1}"
            )
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise DataError(f"'{path}': labels must lie in 0 .. {classes - 1}, as it has so many keys")


def _text(name: bytes | str) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else name
