"""What the pages of fine-tuning share: images kept apart, answers, and records of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from docs_tools import records
from spikewright.data import open_dataset
from spikewright.data.in_memory import InMemory, in_memory
from spikewright.decoding import decoded, parsed
from spikewright.measure.accuracy import predictions
from spikewright.methods.finetune import FineTuning
from spikewright.network import SpikingNetwork
from spikewright.runs.card import read_card
from spikewright.runs.recipe import DataRecipe
from spikewright.runs.zoo import zoo_folder
from spikewright.training.augment import Augmenter
from spikewright.training.never_seen import NeverSeen
from spikewright.training.splits import Splits, keeping_apart
from spikewright.training.trainer import epoch_order
from spikewright.training.tuning import FineTuned, Tuner
from spikewright.training.tuning_data import TuningData

BATCH = 100
"""Images answered at a time."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Images:
    """CIFAR-10 in memory: images to train on, others that choose, and those tested.

    Attributes:
        splits: the training split, and the images held out of it.
        test: the test split.
        augmenter: prepares images as the network was trained on them: crop and flip in training.
    """

    splits: Splits
    test: InMemory
    augmenter: Augmenter

    @classmethod
    def of(
        cls,
        data: str,
        start: str | None = None,
        statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    ) -> Images:
        """Read a data set, its images as a network was trained on them.

        Args:
            data: as `spikewright.data.open_dataset` names it.
            start: the network, an entry of the zoo, whose own held-out images are held out again.
            statistics: mean and standard deviation of each channel, of another network.
        """
        opened = open_dataset(data)
        splits = Splits.read(opened)
        if start is None:
            recipe = DataRecipe(data, *(statistics or (None, None)))
        else:
            known = read_card(zoo_folder(start)).data
            recipe = DataRecipe(data, known.mean, known.std)
            never_seen = NeverSeen.by(f"zoo:{start}")
            splits = keeping_apart(splits, opened, recipe, never_seen)
        augmenter = Augmenter.of(recipe, opened, 0, torch.device("cpu"))
        return cls(splits, in_memory(opened.test), augmenter)

    def tuning(self, images: int, choosing: int, seed: int) -> TuningData:
        """So many images to train on, drawn by the seed, and so many held out."""
        stored, plain = self.splits.images, self.augmenter.plain
        train, apart = (
            part[epoch_order(len(part), seed, 0)[:count]]
            for part, count in ((self.splits.train, images), (self.splits.validation, choosing))
        )
        augmented = self.augmenter.training
        return TuningData(stored.images, stored.labels, train, apart, plain, augmented)

    def tested(self, count: int) -> tuple[Tensor, Tensor]:
        """The first test images in an order that mixes classes, as input, and their labels."""
        numbers = epoch_order(len(self.test), 0, 0)[:count]
        x = self.augmenter.plain(self.test.images[numbers])
        return x.contiguous(memory_format=torch.channels_last), self.test.labels[numbers]


def tuned(snn: SpikingNetwork, method: FineTuning, images: TuningData, seed: int = 0) -> FineTuned:
    """A network trained further; the images held out choose the epoch."""
    tuner = Tuner(snn, method, images, seed=seed)
    for _ in tuner.epochs():
        pass
    return tuner.best()


@torch.no_grad()
def right(snn: SpikingNetwork, images: Tensor, labels: Tensor) -> Tensor:
    """Which images get their label, bool `[N]`."""
    answers = torch.cat([predictions(snn(part)) for part in images.split(BATCH)])
    return answers == labels


def only(first: Tensor, second: Tensor) -> tuple[int, int]:
    """How many images only the first gets right, and only the second."""
    return int((first & ~second).sum()), int((second & ~first).sum())


@dataclass(frozen=True)
class Record:
    """Settings, versions of this library and torch, and rows, which are dataclasses."""

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    rows: tuple[Any, ...]


def write(record: Path, rows: Sequence[Any], config: Mapping[str, Any]) -> None:
    """Write a record."""
    records.write(record, Record(config, records.versions(), tuple(rows)))


def read(record: Path, kind: type[Row]) -> tuple[Row, ...]:
    """The rows of a record.

    Raises:
        RunError: for a record of something else.
    """
    rows = parsed(record.read_bytes(), f"'{record}'")["rows"]
    return tuple(decoded(kind, row, f"'{record}'") for row in rows)
