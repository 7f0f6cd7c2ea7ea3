"""Finished runs of spiking recurrent networks: their folder, their card, and the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spikewright.data.image_data import dataset_length
from spikewright.errors import DataError
from spikewright.files import AnyPath
from spikewright.recurrent.costs import RecurrentCosts
from spikewright.recurrent.network import SRNN
from spikewright.recurrent.recipe import SRNNRunRecipe
from spikewright.recurrent.sequences import SequenceData
from spikewright.runs.card import SplitAccuracy, card_of
from spikewright.runs.run_folder import RecordedFolder, RunRecord
from spikewright.runs.trained import with_weights


@dataclass(frozen=True)
class SequenceFacts:
    """What a run was begun with: a data set of sequences, without its folder.

    Attributes:
        name: what it is.
        classes: the names of the classes, in the order of the answers.
        steps: T of every sequence.
        features: F of every step.
        training, validation, test: the numbers of sequences.
    """

    name: str
    classes: tuple[str, ...]
    steps: int
    features: int
    training: int
    validation: int
    test: int

    @classmethod
    def of(cls, data: SequenceData) -> SequenceFacts:
        """The facts of a data set.

        Raises:
            DataError: if a split is empty.
        """
        splits = (data.train, data.validation, data.test)
        training, validation, test = map(dataset_length, splits)
        if not min(training, validation, test):
            raise DataError(
                f"'{data.name}' has {training} sequences for training, {validation} for "
                f"validation and {test} for the test: none may be empty"
            )
        return cls(data.name, data.classes, data.steps, data.features, training, validation, test)


@dataclass(frozen=True)
class SRNNCard:
    """What a trained spiking recurrent network is; it names no folder of the machine it is of.

    Attributes:
        recipe: the recipe that training carried out.
        data: the sequences that it was trained on.
        epochs: the number of epochs that training took.
        best_epoch: the epoch whose weights these are, 1 .. epochs, the best on validation.
        validation: the accuracy on the split that chose the epoch.
        test: the accuracy on the test split, which chose nothing.
        costs: the operations for the mean of some test sequences, and those of an LSTM.
        costed: the number of these sequences, spread over the test split.
        training_seconds: the wall time of all epochs together.
        weights_sha256: the SHA-256 of the file of weights.
        versions: the versions of what computed them.
        command: the command that makes such runs.
    """

    recipe: SRNNRunRecipe
    data: SequenceFacts
    epochs: int
    best_epoch: int
    validation: SplitAccuracy
    test: SplitAccuracy
    costs: RecurrentCosts
    costed: int
    training_seconds: float
    weights_sha256: str
    versions: dict[str, str]
    command: str = "train-sequences"


@dataclass(frozen=True)
class SRNNFolder(RecordedFolder[SRNNRunRecipe]):
    """The files of a run of a spiking recurrent network: those of `RecordedFolder`, and two more.

    ========================  ==================================================================
    `data.json`               the data set that the run was begun with
    `weights.safetensors`     at the end: the weights of the best epoch on validation
    ========================  ==================================================================
    """

    record = RunRecord[SRNNRunRecipe]
    command = SRNNCard.command

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"


def read_srnn_card(folder: AnyPath) -> SRNNCard:
    """The card of a finished run.

    Raises:
        ModelError: if there is none, or the file is no card of such a run.
        RecipeError: if its recipe contradicts itself.
    """
    return card_of(SRNNFolder(Path(folder)), SRNNCard)


def load_srnn(folder: AnyPath) -> SRNN:
    """Make the network of a finished run of `spikewright train-sequences`, in eval mode.

    Args:
        folder: holds `card.json` and `weights.safetensors`; nothing else of a run is needed.

    Raises:
        ModelError: if a file is missing, the run is not finished, or the weights are not those
            that the card was made for.
        ModelError, RecipeError: for what is no card; see `read_srnn_card`.

    Example:
        >>> network = load_srnn("runs/rows")  # doctest: +SKIP
    """
    run = SRNNFolder(Path(folder))
    card = read_srnn_card(run.path)
    network = card.recipe.network.network(card.data.features, len(card.data.classes), seed=0)
    return with_weights(network, run.weights, run.card, card.weights_sha256)
