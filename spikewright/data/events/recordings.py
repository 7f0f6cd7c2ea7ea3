"""Finds the recordings of a data set in their class folders, and splits them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spikewright.data.events.aedat import read_header
from spikewright.data.splits import divided
from spikewright.decoding import decoded, parsed
from spikewright.errors import DataError, RunError

LAYOUT = "DIR/airplane/cifar10_airplane_0.aedat"
TEST_FRACTION = 0.1
VALIDATION_FRACTION = 0.1
VALIDATION_SEED = 20250713
FEWEST = 3
"""The fewest recordings a class, so that each split has one."""
CARD_NAME = "dataset-card.json"
"""The file that states whether the recordings of a folder are simulated."""
SIMULATED_MARK = "SIMULATED"
"""This word stands in the header of every simulated recording."""


@dataclass(frozen=True)
class Recording:
    """One file: its path, the label of its class, and the number at the end of its name."""

    path: Path
    label: int
    number: int


class Division(StrEnum):
    """The choice of the tenth of each class for testing; the data set itself names none.

    Classes of 1,000 recordings have the numbers 0 to 999. Accuracies on different divisions are
    not comparable.
    """

    FIRST = "first"
    """The first nine tenths by number (0 to 899) are for training, the rest for testing."""

    LAST = "last"
    """The first tenth by number (0 to 99) is for testing, the rest for training: the division of
    "Temporal Effective Batch Normalization in Spiking Neural Networks" (NeurIPS 2022)."""

    RANDOM = "random"
    """A tenth of each class, drawn by a seed, is for testing."""


@dataclass(frozen=True)
class Splits:
    """The recordings of each split, by class and then by number; no two share any."""

    train: tuple[Recording, ...]
    validation: tuple[Recording, ...]
    test: tuple[Recording, ...]


def find_recordings(folder: Path) -> tuple[tuple[str, ...], tuple[Recording, ...]]:
    """List the recordings of a folder of class folders.

    Returns:
        The class names, sorted, and the recordings by class and then by number.

    Raises:
        DataError: if there is no such folder, no class folder with `.aedat` files in it, or a
            recording without a number, or with that of another.
    """
    if not folder.is_dir():
        raise DataError(f"cifar10dvs: there is no folder '{folder}'")
    by_class: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("[!.]*/*.aedat")):
        by_class.setdefault(path.parent.name, []).append(path)
    if not by_class:
        entries = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
        raise DataError(
            f"cifar10dvs: '{folder}' needs one folder of recordings a class, such as {LAYOUT}; "
            f"it holds: {entries}"
        )
    recordings = tuple(
        recording
        for label, paths in enumerate(by_class.values())
        for recording in _numbered(paths, label)
    )
    return tuple(by_class), recordings


def split_recordings(
    recordings: Sequence[Recording], division: Division = Division.FIRST, seed: int | None = None
) -> Splits:
    """Split each class on its own: a tenth for testing, a tenth of the rest for validation.

    A tenth is rounded down, and at least one recording. The validation split is drawn from the
    training part by a fixed permutation, so that it is the same whenever the training part is.

    Args:
        recordings: by class and then by number.
        division: which tenth is for testing.
        seed: the seed of `Division.RANDOM`, which needs it; it goes with no other.

    Raises:
        DataError: if a class has fewer than 3 recordings, or division and seed do not fit.
    """
    if division not in list(Division):
        raise DataError(f"division='{division}'; give one of: {', '.join(Division)}")
    if (division == Division.RANDOM) != (seed is not None):
        raise DataError(
            f"division='{division}', seed={seed}; 'random' needs a seed, no other takes one"
        )
    counts = Counter(recording.label for recording in recordings)
    for recording in recordings:
        if counts[recording.label] < FEWEST:
            raise DataError(
                f"cifar10dvs: '{recording.path.parent}' holds {counts[recording.label]} "
                f"recordings; training, validation and test need at least {FEWEST} a class"
            )
    test, rest = _parted(recordings, division, seed)
    validation, train = _drawn(rest, VALIDATION_FRACTION, VALIDATION_SEED)
    return Splits(train, validation, test)


def count_simulated(folder: Path, recordings: Sequence[Recording]) -> int:
    """Count the recordings that are simulated: all by the folder's card, or each by its header.

    Raises:
        DataError: if a card does not state it, or a recording cannot be read.
    """
    card = folder / CARD_NAME
    if card.is_file():
        try:
            whole = decoded(_Card, parsed(card.read_bytes(), f"'{card}'"), f"'{card}'").simulated
        except RunError as error:
            raise DataError(f"{error}; it needs 'simulated', true or false") from error
        if whole:
            return len(recordings)
    return sum(
        any(SIMULATED_MARK in line for line in read_header(recording.path))
        for recording in recordings
    )


@dataclass(frozen=True)
class _Card:
    """What matters here of the card of a data set."""

    simulated: bool


_Part = tuple[Recording, ...]


def _parted(
    recordings: Sequence[Recording], division: Division, seed: int | None
) -> tuple[_Part, _Part]:
    """The recordings for testing, and the rest."""
    if seed is not None:
        return _drawn(recordings, TEST_FRACTION, seed)
    test: list[Recording] = []
    for label in sorted({recording.label for recording in recordings}):
        members = [recording for recording in recordings if recording.label == label]
        count = _share(TEST_FRACTION, len(members))
        test += members[:count] if division == Division.LAST else members[-count:]
    chosen = set(test)
    return tuple(test), tuple(r for r in recordings if r not in chosen)


def _drawn(recordings: Sequence[Recording], fraction: float, seed: int) -> tuple[_Part, _Part]:
    """A share of each class, drawn by a seed, and the rest."""
    labels = [recording.label for recording in recordings]
    sizes = {label: (_share(fraction, count),) for label, count in Counter(labels).items()}
    drawn, rest = divided(labels, sizes, seed)
    return tuple(recordings[i] for i in drawn), tuple(recordings[i] for i in rest)


def _share(fraction: float, count: int) -> int:
    return max(1, int(fraction * count))


def _numbered(paths: Sequence[Path], label: int) -> list[Recording]:
    by_number: dict[int, Recording] = {}
    for path in paths:
        digits = re.search(r"(\d+)$", path.stem)
        if digits is None:
            raise DataError(
                f"cifar10dvs: '{path}' has no number at the end of its name, such as {LAYOUT} has"
            )
        number = int(digits[1])
        if number in by_number:
            raise DataError(
                f"cifar10dvs: '{by_number[number].path}' and '{path}' have the same number; "
                "keep one of them, or give each its own"
            )
        by_number[number] = Recording(path, label, number)
    return [by_number[number] for number in sorted(by_number)]
