"""The card that goes with trained weights: what they are, how they came about, how good."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright.decoding import decoded, encoded
from spikewright.errors import ModelError, RunError
from spikewright.measure.statistics import wilson_interval
from spikewright.runs.files import read_json
from spikewright.runs.recipe import Recipe
from spikewright.runs.run_folder import RunFolder


@dataclass(frozen=True)
class SplitAccuracy:
    """How well the weights do on one split.

    Attributes:
        right: images whose highest logit is their label.
        images: how many there were.
        accuracy: the fraction right, 0 .. 1.
        wilson_95: the ends of its 95 % Wilson interval.

    Raises:
        ValueError: when made with an accuracy or interval that is not that of the counts.
    """

    right: int
    images: int
    accuracy: float
    wilson_95: tuple[float, ...]

    def __post_init__(self) -> None:
        interval = wilson_interval(self.right, self.images)
        if self.accuracy != self.right / self.images or not (
            len(self.wilson_95) == 2 and all(map(math.isclose, self.wilson_95, interval))
        ):
            raise ValueError("accuracy and interval are not those of its counts")

    @classmethod
    def of(cls, right: int, images: int) -> SplitAccuracy:
        """The accuracy that these counts come to."""
        return cls(right, images, right / images, wilson_interval(right, images))


@dataclass(frozen=True)
class TrainingData:
    """What a network was trained on, and what its input must look like.

    Attributes:
        name: of the data set, without its folder.
        classes: their names, in the order of the logits.
        training_images: how many; validation and test images are none of them.
        mean, std: per channel, of the normalisation.
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
        architecture: as `spikewright.models.ARCHITECTURES` names it.
        num_classes: logits of the network.
        recipe: that training carried out.
        data: what it was trained on.
        epochs: that training took.
        best_epoch: whose weights these are, 1 .. epochs, the best on validation.
        validation: on the split that chose the epoch.
        test: on the test split, which chose nothing.
        training_seconds: of all epochs together.
        weights_sha256: of the file of weights.
        versions: of what computed them.
        processes: that trained together.

    Raises:
        ValueError: when made with a recipe of another architecture or data set.
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

    def __post_init__(self) -> None:
        model, data = self.recipe.network.model, self.recipe.data.data
        if model != self.architecture:
            raise ValueError(f"a recipe of {model}, but weights of {self.architecture}")
        if data != self.data.name:
            raise ValueError(f"a recipe on {data}, but trained on {self.data.name}")

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return encoded(self)


def read_card(folder: Path) -> ModelCard:
    """The card of a finished run.

    Raises:
        ModelError: if there is none, or it is no card of a run, or contradicts itself.
        RecipeError: if its recipe contradicts itself.
        RunError: if the file is damaged.
    """
    run = RunFolder(folder)
    if not run.card.is_file():
        state = (
            "the run there is not finished: go on with spikewright train --resume"
            if run.recipe_file.is_file()
            else "give the folder of a finished run of spikewright train"
        )
        raise ModelError(f"there is no '{run.card}'; {state}")
    found = read_json(run.card)
    try:
        return decoded(ModelCard, found, "card")
    except RunError as error:
        raise ModelError(f"'{run.card}' is not the card of a training run: {error}") from error
