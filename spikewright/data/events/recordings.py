"""Finds the recordings of a data set in their class folders, and splits them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spikewright.data.image_data import permutation
from spikewright.errors import DataError

LAYOUT = "DIR/airplane/cifar10_airplane_0.aedat"
TEST_FRACTION = 0.1
VALIDATION_FRACTION = 0.1
VALIDATION_SEED = 20250713
FEWEST = 3
"""Recordings a class, so that each split has one."""


@dataclass(frozen=True)
class Recording:
    """One file: its path, the label of its class, and the number at the end of its name."""

    path: Path
    label: int
    number: int


class Division(StrEnum):
    """Which tenth of each class is for testing; the data set itself names none.

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
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
        raise DataError(
            f"cifar10dvs: '{folder}' needs one folder of recordings a class, such as {LAYOUT}; "
            f"it holds: {found}"
        )
    found = [
        recording
        for label, paths in enumerate(by_class.values())
        for recording in _numbered(paths, label)
    ]
    return tuple(by_class), tuple(found)


def split_recordings(
    recordings: Sequence[Recording], division: Division = Division.FIRST, seed: int | None = None
) -> Splits:
    """Split each class on its own: a tenth for testing, a tenth of the rest for validation.

    A tenth is rounded down, and at least one recording. The validation split is drawn from the
    training part by a fixed permutation, so that it is the same whenever the training part is.

    Args:
        recordings: by class and then by number.
        division: which tenth is for testing.
        seed: of `Division.RANDOM`, which needs it; it goes with no other.

    Raises:
        DataError: if a class has fewer than 3 recordings, or division and seed do not fit.
    """
    if division not in list(Division):
        raise DataError(f"division='{division}'; give one of: {', '.join(Division)}")
    if (division == Division.RANDOM) != (seed is not None):
        raise DataError(
            f"division='{division}', seed={seed}; 'random' needs a seed, no other takes one"
        )
    parts: tuple[list[Recording], ...] = ([], [], [])
    for label in sorted({recording.label for recording in recordings}):
        members = [recording for recording in recordings if recording.label == label]
        for part, chosen in zip(parts, _split_class(members, division, seed), strict=True):
            part += sorted(chosen, key=lambda recording: recording.number)
    return Splits(*(tuple(part) for part in parts))


def _split_class(
    members: list[Recording], division: Division, seed: int | None
) -> tuple[list[Recording], list[Recording], list[Recording]]:
    if len(members) < FEWEST:
        raise DataError(
            f"cifar10dvs: '{members[0].path.parent}' holds {len(members)} recordings; training, "
            f"validation and test need at least {FEWEST} a class"
        )
    label, ordered = members[0].label, members
    if seed is not None:
        ordered = [members[i] for i in permutation(len(members), seed + label)]
    tested = max(1, int(TEST_FRACTION * len(members)))
    if division == Division.LAST:
        test, rest = ordered[:tested], ordered[tested:]
    else:
        test, rest = ordered[-tested:], ordered[:-tested]
    order = permutation(len(rest), VALIDATION_SEED + label)
    apart = max(1, int(VALIDATION_FRACTION * len(rest)))
    return [rest[i] for i in order[apart:]], [rest[i] for i in order[:apart]], test


def _numbered(paths: Sequence[Path], label: int) -> list[Recording]:
    found: dict[int, Recording] = {}
    for path in paths:
        digits = re.search(r"(\d+)$", path.stem)
        if digits is None:
            raise DataError(
                f"cifar10dvs: '{path}' has no number at the end of its name, such as {LAYOUT} has"
            )
        number = int(digits[1])
        if number in found:
            raise DataError(
                f"cifar10dvs: '{found[number].path}' and '{path}' have the same number; "
                "keep one of them, or give each its own"
            )
        found[number] = Recording(path, label, number)
    return [found[number] for number in sorted(found)]
