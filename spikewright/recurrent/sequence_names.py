"""Sequences by name: from what a user writes to a data set in its three splits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from spikewright.errors import DataError
from spikewright.recurrent.heidelberg import open_heidelberg
from spikewright.recurrent.sequences import (
    NOISE,
    Reading,
    SequenceData,
    digit_sequences,
    recall_sequences,
)
from spikewright.recurrent.speech_commands import open_speech_commands
from spikewright.runs.recipe import refuse

DIGITS = {f"digits-{reading}": reading for reading in Reading}
FOLDERS = {"heidelberg": open_heidelberg, "speech-commands": open_speech_commands}
FORMS = (*DIGITS, "recall:DELAY", *(f"{name}:DIR" for name in FOLDERS))
LONGEST_DELAY = 10_000
"""Time steps of recall: as many take 1 GB."""


@dataclass(frozen=True)
class SequenceDataRecipe:
    """The sequences of a training run.

    Attributes:
        data: The data set: digits-rows (a row of pixels a step), digits-pixels (a pixel a step),
            recall:DELAY (a symbol, to be named after so many steps, 1 to 10,000), heidelberg:DIR
            (the Spiking Heidelberg Digits or Spiking Speech Commands) or speech-commands:DIR
            (Google's).
        shifted: Training digits stand there nine times: as they are, and moved by a pixel to every
            side and corner.
        noise: The probability of a spike of each symbol's input while recall waits, 0 to 1.
            Default: 0.05; other data have none.

    Raises:
        RecipeError: for an unknown data set, an option that it does not have, or a number out of
            its range.
    """

    data: str
    shifted: bool = False
    noise: float | None = None

    def __post_init__(self) -> None:
        recall = self.kind == "recall"
        known = self.data in DIGITS or recall or self.kind in FOLDERS
        refuse((not known, f"unknown sequences '{self.data}'; give one of: {', '.join(FORMS)}"))
        refuse(
            (
                recall and self.delay is None,
                f"'{self.data}': give recall:DELAY with 1 to {LONGEST_DELAY:,} steps, such as "
                "recall:250",
            ),
            (self.shifted and self.data not in DIGITS, f"'{self.data}' has no shifted digits"),
            (
                self.noise is not None and not recall,
                f"'{self.data}' takes no noise; only recall does",
            ),
            (self.noise is not None and not 0 <= self.noise <= 1, "noise lies in 0 .. 1"),
        )

    @property
    def kind(self) -> str:
        """What stands before the colon."""
        return self.data.partition(":")[0]

    @property
    def place(self) -> str:
        """What stands behind the colon: a folder, or the delay of recall."""
        return self.data.partition(":")[2]

    @property
    def delay(self) -> int | None:
        """The time steps of recall; None of other data, and where there is no such number."""
        written = self.kind == "recall" and re.fullmatch("[1-9][0-9]{0,4}", self.place)
        return int(self.place) if written and int(self.place) <= LONGEST_DELAY else None

    def without_folder(self) -> SequenceDataRecipe:
        """The same data set, without the folder of this machine."""
        return replace(self, data=self.kind) if self.kind in FOLDERS else self

    def open(self) -> SequenceData:
        """Open the data set; nothing is ever downloaded.

        Raises:
            DataError: if it is not there or damaged, or no folder is named.
            MissingExtra: if what reads it is not installed.
        """
        if self.data in DIGITS:
            return digit_sequences(DIGITS[self.data], shifted=self.shifted)
        if self.delay is not None:
            return recall_sequences(self.delay, noise=NOISE if self.noise is None else self.noise)
        if not self.place:
            raise DataError(f"'{self.kind}' is read from a folder: give {self.kind}:DIR")
        return FOLDERS[self.kind](Path(self.place).expanduser())
