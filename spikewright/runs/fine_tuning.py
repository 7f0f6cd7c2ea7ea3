"""What a run of fine-tuning does, complete, and the folder that it is carried out in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright.data import Resize
from spikewright.errors import RecipeError
from spikewright.methods.finetune import FineTuning, named
from spikewright.runs.card import SplitAccuracy
from spikewright.runs.recipe import DataRecipe, StartRecipe, differences
from spikewright.runs.run_folder import RecordedFolder, RunRecord
from spikewright.seeding import LARGEST_SEED


@dataclass(frozen=True)
class FineTuneRecipe:
    """All of a run of fine-tuning.

    Attributes:
        start: the file of the converted network to start from.
        data: which images, and how they vary.
        method: as `methods.finetune` names it.
        settings: of the method, by name, complete.
        steps: T.
        samples: how many training images are trained on, drawn by the seed; all when None.
        seed: of what is drawn at random, at least 0.
        resize: of pictures before they are cropped to `data.size`; None is that of `open_dataset`.

    Raises:
        RecipeError: when made with settings that the method does not have, or numbers out of range.
    """

    start: StartRecipe
    data: DataRecipe
    method: str
    settings: dict[str, int | float | None]
    steps: int
    samples: int | None = None
    seed: int = 0
    resize: Resize | None = None

    def __post_init__(self) -> None:
        samples = 1 if self.samples is None else self.samples
        if not 0 <= self.seed <= LARGEST_SEED or min(self.steps, samples) < 1:
            raise RecipeError(
                f"seed must be 0 to {LARGEST_SEED:,}, steps and samples at least 1, got "
                f"seed={self.seed}, steps={self.steps}, samples={self.samples}"
            )
        self.make_method()

    def make_method(self) -> FineTuning:
        """The method with its settings.

        Raises:
            RecipeError: for settings that it does not have, or out of their range.
            ConversionError: for an unknown method.
        """
        try:
            return named(self.method)(**self.settings)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{self.method}: {error}") from error

    def differences(self, recorded: Any) -> list[str]:
        """What differs from the recipe of a run that was begun, one line a field; see `Recipe`."""
        return differences(self, recorded)


@dataclass(frozen=True)
class FineTuneCard:
    """What a run of fine-tuning came to; it names no folder of the machine it was made on.

    Attributes:
        recipe: that was carried out.
        paper: of the method.
        training_images: how many images were trained on; validation and test images are none.
        best_epoch: the epoch whose network this is, the best on validation; 0 is the network as it
            came.
        epochs: the number of epochs carried out.
        validation: the accuracy on the images that chose the epoch.
        may_be_seen: why the network may have been trained on these images before; None where its
            source keeps a list of images that it never saw, and they are among them or of another
            data set.
        before: the accuracy of the network it started from on the test split.
        test: that of the fine-tuned network, on the same images.
        training_seconds: wall time of all epochs together.
        network_sha256: of the file of the network.
        versions: the versions of what computed it.
    """

    recipe: FineTuneRecipe
    paper: str
    training_images: int
    best_epoch: int
    epochs: int
    validation: SplitAccuracy
    may_be_seen: str | None
    before: SplitAccuracy
    test: SplitAccuracy
    training_seconds: float
    network_sha256: str
    versions: dict[str, str]


@dataclass(frozen=True)
class FineTuneFolder(RecordedFolder[FineTuneRecipe]):
    """The files of a run of fine-tuning: those of `RecordedFolder`, and `network.safetensors`.

    The network is that of the best epoch, as `spikewright.load` reads it.
    """

    record = RunRecord[FineTuneRecipe]
    command = "finetune"

    @property
    def network(self) -> Path:
        return self.path / "network.safetensors"
