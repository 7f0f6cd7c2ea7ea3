"""Which images a network never saw: those that its run, or its entry of the zoo, held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from spikewright.artefact import describe
from spikewright.errors import ModelError, RecipeError, RunError
from spikewright.fingerprint import fingerprint
from spikewright.runs.card import card_of, read_card
from spikewright.runs.files import read_tensors
from spikewright.runs.fine_tuning import FineTuneCard, FineTuneFolder
from spikewright.runs.names import trained_folder
from spikewright.runs.recipe import StartRecipe
from spikewright.runs.run_folder import RunFolder
from spikewright.runs.trained import load_trained

FINE_TUNED = "fine-tuned"
"""The note of a network that was fine-tuned: by which method."""


@dataclass(frozen=True)
class NeverSeen:
    """The images that trained weights never saw.

    Attributes:
        weights: whose they are, as messages name them.
        keys: int64 [N], of the images, see `splits.image_keys`.
        data: the name of the data set that they belong to.
        size: the side that images were brought to; None where they stayed as they were.
        chose: how many of them chose the best epoch.
    """

    weights: str
    keys: Tensor
    data: str
    size: int | None
    chose: int

    @classmethod
    def by(cls, weights: str | None) -> NeverSeen | None:
        """By trained weights; None where there are none, or they are no `run:DIR` or `zoo:NAME`.

        Raises:
            RecipeError: if the folder that they come from does not tell.
        """
        folder = None if weights is None else trained_folder(weights)
        return None if weights is None or folder is None else cls._by_trained(weights, folder)

    @classmethod
    def by_converted_or_why(cls, start: StartRecipe) -> tuple[NeverSeen | None, str | None]:
        """By a converted network, or why it is not known."""
        try:
            return cls.by_converted(start), None
        except (ModelError, RecipeError, RunError) as error:
            return None, str(error)

    @classmethod
    def by_converted(cls, start: StartRecipe) -> NeverSeen:
        """By a converted network, neither in training nor in fine-tuning.

        The notes that `spikewright convert` leaves in its file name the model, which must still be
        what was converted; beside a network that was fine-tuned lies what that run held out.

        Raises:
            RecipeError, ModelError, RunError: why it is not known.
        """
        notes = describe(start.weights).notes
        if FINE_TUNED in notes:
            return cls._by_fine_tuned(start)
        model, inputs = notes.get("model"), notes.get("inputs")
        if not isinstance(model, str) or not isinstance(inputs, dict):
            raise RecipeError("its file does not say what it was converted from")
        folder = trained_folder(model)
        if folder is None:
            raise RecipeError(f"'{model}' keeps no list of images that it never saw")
        network = load_trained(folder)
        if inputs.get("model") not in (
            fingerprint(network.state_dict()),
            fingerprint(network.double().state_dict()),
        ):
            raise RecipeError(f"'{model}' has other weights than when it was converted")
        return cls._by_trained(model, folder)

    @classmethod
    def _by_trained(cls, weights: str, folder: Path) -> NeverSeen:
        card = read_card(folder)
        try:
            keys, _ = read_held_out(RunFolder(folder).held_out)
        except RunError as error:
            raise not_known(weights, str(error)) from error
        size, chose = card.recipe.data.size, card.validation.images
        return cls(weights, keys, card.data.name, size, chose)

    @classmethod
    def _by_fine_tuned(cls, start: StartRecipe) -> NeverSeen:
        run = FineTuneFolder(Path(start.weights).parent)
        card = card_of(run, FineTuneCard)
        if card.network_sha256 != start.sha256:
            raise RecipeError(f"'{run.card}' is of another network")
        if card.may_be_seen is not None:
            raise RecipeError(card.may_be_seen)
        keys, _ = read_held_out(run.held_out)
        data = card.recipe.data
        return cls(start.weights, keys, data.data, data.size, card.validation.images)


def not_known(weights: str, why: str) -> RecipeError:
    """The error for weights that do not tell which images they were trained on."""
    return RecipeError(
        f"which images '{weights}' was trained on is not known: {why}; give its file of weights "
        "instead, and keep what chooses the best epoch apart yourself"
    )


def read_held_out(path: Path) -> tuple[Tensor, str]:
    """The keys of the images that a run held out, and the SHA-256 of all its images.

    Raises:
        RunError: if the file is not there, or damaged.
    """
    tensors, document = read_tensors(path)
    try:
        return tensors["held_out"], document["images_sha256"]
    except KeyError as error:
        raise RunError(
            f"'{path}' does not tell which images were held out ({error} is missing): put the file "
            "back that the run has written"
        ) from error
