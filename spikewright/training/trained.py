"""Networks that `spikewright train` made, from the folder of their run."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from spikewright.errors import ModelError
from spikewright.models.weights import load_weights
from spikewright.training.card import CARD, read_card
from spikewright.training.files import sha256
from spikewright.training.network import make_network

WEIGHTS = "weights.safetensors"
INITIALISATION_SEED = 0


def load_trained(folder: Path) -> nn.Module:
    """Make the network of a finished training run, with its weights, in eval mode.

    Args:
        folder: holds `card.json` and `weights.safetensors`; nothing else of a run is needed.

    Raises:
        ModelError: if a file is missing, the run is not finished, or the weights are not those
            that the card was made for.
        ModelError, RecipeError, RunError: for what is no card; see `read_card`.
    """
    card = read_card(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"'{folder}' holds a {CARD}, but no {WEIGHTS}")
    if sha256(weights) != card.weights_sha256:
        raise ModelError(
            f"'{weights}' is not the file that '{folder / CARD}' describes (its SHA-256 differs); "
            "copy both from the run again"
        )
    model = make_network(card.recipe.network, card.num_classes, INITIALISATION_SEED)
    load_weights(model, weights)
    return model.eval()
