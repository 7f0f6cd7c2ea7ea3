"""Networks that `spikewright train` made, from the folder of their run."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import nn

from spikewright.errors import ModelError
from spikewright.models.weights import load_weights
from spikewright.runs.card import read_card
from spikewright.runs.files import sha256
from spikewright.runs.network import make_network
from spikewright.runs.run_folder import RunFolder

M = TypeVar("M", bound=nn.Module)


def load_trained(folder: Path) -> nn.Module:
    """Make the network of a finished training run, with its weights, in eval mode.

    Args:
        folder: holds `card.json` and `weights.safetensors`; nothing else of a run is needed.

    Raises:
        ModelError: if a file is missing, the run is not finished, or the weights are not those
            that the card was made for.
        ModelError, RecipeError: for what is no card; see `read_card`.
    """
    run, card = RunFolder(folder), read_card(folder)
    model = make_network(card.recipe.network, card.num_classes, seed=0)
    return with_weights(model, run.weights, run.card, card.weights_sha256)


def with_weights(model: M, weights: Path, card: Path, weights_sha256: str) -> M:
    """A network with the weights that its card describes, in eval mode.

    Args:
        model: changed in place.
        weights: the file beside the card.
        card: its file, for errors.
        weights_sha256: what the card says of the weights.

    Raises:
        ModelError: if the file is missing, another than the card's, or does not fit the network.
    """
    if not weights.is_file():
        raise ModelError(f"'{card.parent}' holds a {card.name}, but no {weights.name}")
    if sha256(weights) != weights_sha256:
        raise ModelError(
            f"'{weights}' is not the file that '{card}' describes (its SHA-256 differs); "
            "copy both from the run again"
        )
    load_weights(model, weights)
    return model.eval()
