"""What a data set of sequences looks like, and the digits read as sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data import open_dataset
from spikewright.data.in_memory import in_memory
from spikewright.devices import cpu_by_default
from spikewright.errors import DataError

SequenceDataset = Dataset[tuple[Tensor, int]]
"""A map-style data set of (float32 sequence [T, F], int label), with a length."""


@dataclass(frozen=True)
class SequenceData:
    """A labelled data set of sequences in three splits that share none.

    Attributes:
        name: what it is.
        train: what weights are fitted to.
        validation: what the best epoch is chosen on.
        test: what the final figures come from, and nothing else.
        classes: the class names; label i is classes[i].
        steps: T of every sequence.
        features: F of every step.
    """

    name: str
    train: SequenceDataset
    validation: SequenceDataset
    test: SequenceDataset
    classes: tuple[str, ...]
    steps: int
    features: int


class InMemorySequences(Dataset[tuple[Tensor, int]]):
    """Sequences as one tensor.

    Args:
        inputs: `[N, T, F]`.
        labels: int64 `[N]`.

    Raises:
        DataError: for shapes that do not fit.
    """

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        if inputs.ndim != 3 or labels.shape != inputs.shape[:1]:
            raise DataError(
                f"sequences [N, T, F] go with labels [N], got {tuple(inputs.shape)} and "
                f"{tuple(labels.shape)}"
            )
        self.inputs = inputs
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.inputs[index], int(self.labels[index])


class Reading(StrEnum):
    """How an image becomes a sequence."""

    ROWS = "rows"
    PIXELS = "pixels"


@cpu_by_default()
def digit_sequences(
    reading: Reading | str = Reading.ROWS, *, repeats: int = 1, shifted: bool = False
) -> SequenceData:
    """The 1,797 handwritten digits of 8 x 8 pixels, read from the top left as a text is.

    Rows make 8 steps of 8 features, pixels make 64 steps of one. The splits are those of
    `open_dataset("digits")`.

    Args:
        reading: "rows" or "pixels".
        repeats: for how many time steps each row or pixel is shown, at least 1.
        shifted: training images stand there nine times: as they are, and moved by a pixel to every
            side and corner.

    Raises:
        DataError: for another reading, or repeats below 1.
        MissingExtra: if scikit-learn is not installed.

    Example:
        >>> data = digit_sequences("pixels")
        >>> data.steps, data.features
        (64, 1)
    """
    if reading not in list(Reading):
        raise DataError(f"digits are read by {' or '.join(Reading)}, got {reading!r}")
    if repeats < 1:
        raise DataError(f"repeats must be at least 1, got {repeats}")
    images = open_dataset("digits")
    shape = (8, 8) if reading == Reading.ROWS else (64, 1)

    def read(split: Dataset[tuple[Tensor, int]], *, move: bool) -> InMemorySequences:
        found = in_memory(split)
        pixels = found.images if found.images.is_floating_point() else found.images.float() / 255
        labels = found.labels
        if move:
            pixels, labels = torch.cat([_moved(pixels, *by) for by in MOVES]), labels.repeat(9)
        shown = pixels.reshape(len(labels), *shape).repeat_interleave(repeats, 1)
        return InMemorySequences(shown, labels)

    train = read(images.train, move=shifted)
    validation, test = (read(split, move=False) for split in (images.validation, images.test))
    steps, features = shape[0] * repeats, shape[1]
    name = f"digits by {Reading(reading)}"
    return SequenceData(name, train, validation, test, images.classes, steps, features)


MOVES = tuple((down, right) for down in (0, 1, -1) for right in (0, 1, -1))
"""Pixels down and to the right."""


def _moved(images: Tensor, down: int, right: int) -> Tensor:
    """Images `[N, C, H, W]` moved by at most a pixel, with black where nothing is left."""
    height, width = images.shape[2:]
    return F.pad(images, (1, 1, 1, 1))[
        :, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width
    ]


SHOWN = 10
"""For how many steps a symbol, and the request for it, are shown."""
NOISE = 0.05
"""The probability of a spike of each symbol's input at other steps, if nothing else is said."""


@cpu_by_default()
def recall_sequences(
    delay: int,
    *,
    symbols: int = 4,
    noise: float = NOISE,
    sizes: Sequence[int] = (1024, 256, 1024),
    seed: int = 0,
) -> SequenceData:
    """A test of long memory: a symbol is shown, and asked for after a delay.

    There is one spiking input for every symbol, and one that asks. The symbol's input spikes for
    SHOWN steps, each with probability 1/2; for the delay all inputs of symbols spike with the
    probability `noise`; then the last input spikes for SHOWN steps, and the symbol is to be named
    (answer_steps = SHOWN). Kin to the store-recall task of Bellec et al., NeurIPS 2018.

    Args:
        delay: the number of steps between, at least 1.
        symbols: how many there are, at least 2.
        noise: the probability of a spike of each symbol's input at each other step, in 0 .. 1.
        sizes: how many sequences for training, validation and test.
        seed: of all draws.

    Raises:
        DataError: for a number out of its range.

    Example:
        >>> data = recall_sequences(100)
        >>> data.steps, data.features, len(data.test)
        (120, 5, 1024)
    """
    if delay < 1 or symbols < 2 or not 0 <= noise <= 1 or len(sizes) != 3 or min(sizes) < 1:
        raise DataError(
            f"recall needs delay >= 1, symbols >= 2, noise in 0 .. 1 and three sizes >= 1, got "
            f"{delay}, {symbols}, {noise} and {tuple(sizes)}"
        )
    draw = torch.Generator().manual_seed(seed)
    steps = delay + 2 * SHOWN

    def split(count: int) -> InMemorySequences:
        labels = torch.randint(symbols, (count,), generator=draw)
        probability = torch.zeros(count, steps, symbols + 1)
        probability[:, :, :symbols] = noise
        probability[torch.arange(count), :SHOWN, labels] = 0.5
        probability[:, -SHOWN:, symbols] = 1.0
        return InMemorySequences(torch.bernoulli(probability, generator=draw), labels)

    train, validation, test = map(split, sizes)
    classes = tuple(str(number) for number in range(symbols))
    name = f"recall after {delay} steps"
    return SequenceData(name, train, validation, test, classes, steps, symbols + 1)
