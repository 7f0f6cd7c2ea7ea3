"""The card that goes with trained weights: what they are, how they came about, how good."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from spikewright.decoding import decoded
from spikewright.errors import ModelError, RunError
from spikewright.measure.statistics import wilson_interval
from spikewright.runs.files import read_json
from spikewright.runs.recipe import Recipe
from spikewright.runs.run_folder import RecordedFolder, RunFolder

C = TypeVar("C")


@dataclass(frozen=True)
class SplitAccuracy:
    """How well the weights do on one split.

    Attributes:
        right: the number of images, or sequences, whose highest logit is their label.
        images: the number of images, or sequences.
        accuracy: the fraction right, 0 .. 1.
        wilson_95: the ends of its 95 % Wilson interval.
    """

    right: int
    images: int
    accuracy: float
    wilson_95: tuple[float, float]

    @classmethod
    def of(cls, right: int, images: int) -> SplitAccuracy:
        """The accuracy that these counts come to."""
        return cls(right, images, right / images, wilson_interval(right, images))

    @classmethod
    def of_fraction(cls, accuracy: float, images: int) -> SplitAccuracy:
        """The same of the fraction right, 0 .. 1, of so many."""
        return cls.of(round(accuracy * images), images)

    def __str__(self) -> str:
        """The accuracy with its interval and its counts."""
        low, high = (100 * end for end in self.wilson_95)
        counts = f"{self.right} of {self.images}"
        return f"{100 * self.accuracy:.2f} %  (95 %: {low:.2f} .. {high:.2f}; {counts})"


@dataclass(frozen=True)
class TrainingData:
    """What a network was trained on, and what its input must look like.

    Attributes:
        name: the data set, without its folder.
        classes: the names of the classes, in the order of the logits.
        training_images: the number of images; validation and test images are none of them.
        mean, std: the normalisation of each channel.
    """

    name: str
    classes: tuple[str, ...]
    training_images: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModelCard:
    """What trained weights are; it names no folder of the machine they were made on.

    Attributes:
        architecture: the network, as `spikewright.models.ARCHITECTURES` names it.
        num_classes: the number of logits.
        recipe: the recipe that training carried out.
        data: the images that it was trained on.
        epochs: the number of epochs that training took.
        best_epoch: the epoch whose weights these are, 1 .. epochs, the best on validation or, if
            the recipe keeps that, the last.
        validation: the accuracy on the split that chose the epoch.
        test: the accuracy on the test split, which chose nothing.
        training_seconds: the wall time of all epochs together.
        weights_sha256: the SHA-256 of the file of weights.
        versions: the versions of what computed them.
        processes: the number of processes that trained together.
        alarms: what tells that training went wrong, by epoch; mostly none.
    """

    architecture: str
    num_classes: int
    recipe: Recipe
    data: TrainingData
    epochs: int
    best_epoch: int
    validation: SplitAccuracy
    test: SplitAccuracy
    training_seconds: float
    weights_sha256: str
    versions: dict[str, str]
    processes: int = 1
    alarms: tuple[str, ...] = ()


def read_card(folder: Path) -> ModelCard:
    """The card of a finished run.

    Raises:
        ModelError: if there is none, or the file is no card of a run.
        RecipeError: if its recipe contradicts itself.
    """
    return card_of(RunFolder(folder), ModelCard)


def card_of(run: RecordedFolder[Any], kind: type[C]) -> C:
    """The card of a finished run, of the kind that its folder has; see `read_card`."""
    if not run.card.is_file():
        command = f"spikewright {run.command}"
        state = (
            f"the run there is not finished: go on with {command} --resume"
            if run.recipe_file.is_file()
            else f"give the folder of a finished run of {command}"
        )
        raise ModelError(f"there is no '{run.card}'; {state}")
    try:
        return decoded(kind, run.own(read_json(run.card), run.card), "card")
    except RunError as error:
        raise ModelError(f"'{run.card}' is not the card of a training run: {error}") from error
