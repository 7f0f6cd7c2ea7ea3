"""Networks that `spikewright train` made, from the folder of their run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from spikewright.errors import ModelError
from spikewright.models.weights import load_weights
from spikewright.training.files import read_json, sha256
from spikewright.training.network import make_network
from spikewright.training.recipe import recipe_from

CARD = "card.json"
WEIGHTS = "weights.safetensors"
INITIALISATION_SEED = 0


def load_trained(folder: Path) -> nn.Module:
    """Make the network of a finished training run, with its weights, in eval mode.

    Args:
        folder: holds `card.json` and `weights.safetensors`; nothing else of a run is needed.

    Raises:
        ModelError: if a file is missing, the run is not finished, or the weights are not those
            that the card was made for.
        RecipeError, RunError: if the card is damaged or of another version.
    """
    card = read_card(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"'{folder}' holds a {CARD}, but no {WEIGHTS}")
    if sha256(weights) != card["weights_sha256"]:
        raise ModelError(
            f"'{weights}' is not the file that '{folder / CARD}' describes (its SHA-256 differs); "
            "copy both from the run again"
        )
    model = make_network(
        recipe_from(card["recipe"]).network, card["num_classes"], INITIALISATION_SEED
    )
    load_weights(model, weights)
    return model.eval()


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a finished run.

    Raises:
        ModelError: if there is none.
        RunError: if it is damaged.
    """
    path = folder / CARD
    if not path.is_file():
        state = (
            "the run there is not finished: go on with spikewright train --resume"
            if (folder / "run.json").is_file()
            else "give the folder of a finished run of spikewright train"
        )
        raise ModelError(f"there is no '{path}'; {state}")
    card = read_json(path)
    needed = {"recipe", "num_classes", "weights_sha256", "data"}
    if not isinstance(card, dict) or not needed <= card.keys():
        raise ModelError(f"'{path}' is not the card of a training run; it lacks some of {needed}")
    return card
