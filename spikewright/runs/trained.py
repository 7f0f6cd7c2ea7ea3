"""Networks that `spikewright train` made, from the folder of their run."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from spikewright.errors import ModelError
from spikewright.models.weights import load_weights
from spikewright.runs.card import read_card
from spikewright.runs.files import sha256
from spikewright.runs.network import make_network
from spikewright.runs.run_folder import RunFolder


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
    if not run.weights.is_file():
        raise ModelError(f"'{folder}' holds a {run.card.name}, but no {run.weights.name}")
    if sha256(run.weights) != card.weights_sha256:
        raise ModelError(
            f"'{run.weights}' is not the file that '{run.card}' describes (its SHA-256 differs); "
            "copy both from the run again"
        )
    model = make_network(card.recipe.network, card.num_classes, seed=0)
    load_weights(model, run.weights)
    return model.eval()
