"""Training that starts from trained weights: a longer run, fewer levels, or QCFS after ReLU."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from spikewright.activations import learned_thresholds
from spikewright.errors import ModelError, RecipeError
from spikewright.models.weights import load_weights
from spikewright.runs.card import read_card
from spikewright.runs.files import sha256
from spikewright.runs.names import trained_folder
from spikewright.runs.recipe import DataRecipe, StartRecipe
from spikewright.runs.run_folder import RunFolder
from spikewright.runs.trained import load_trained
from spikewright.training.augment import Augmenter


def start_from(weights: str) -> StartRecipe:
    """Say which trained weights a recipe starts from.

    Args:
        weights: `run:DIR`, `zoo:NAME`, or a safetensors file of the architecture's tensors.

    Raises:
        ModelError: if they are not there, or a run is not finished or not what its card says.

    Example:
        >>> start_from("zoo:digits-qcfs8").weights
        'zoo:digits-qcfs8'
    """
    folder = trained_folder(weights)
    if folder is not None:
        load_trained(folder)  # refuses what is not finished, and weights that are not the card's
    return StartRecipe(weights, sha256(_file(weights)))


def load_start(model: nn.Module, start: StartRecipe, threshold: float | None) -> None:
    """Copy the weights to start from into a network, all of them or none.

    Thresholds that the weights bring are taken, of other levels too; without any, as after ReLU,
    the network keeps those that it was made with.

    Args:
        model: changed in place.
        start: the weights to start from.
        threshold: the threshold that the recipe starts from, or None.

    Raises:
        ModelError: if the file is not there, or does not fit the network; see `load_weights`.
        RecipeError: if the file is another than the recipe names, or both it and the recipe have
            thresholds.
    """
    path = _file(start.weights)
    if sha256(path) != start.sha256:
        raise RecipeError(
            f"'{path}' has changed since the run was begun (its SHA-256 differs); put the file "
            "back, or begin a new run in another folder"
        )
    learned = {id(parameter) for parameter in learned_thresholds(model)}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in learned}
    missing = load_weights(model, path, optional=names)
    if threshold is not None and names and not missing:
        raise RecipeError(
            f"'{start.weights}' has learned thresholds, and training goes on from them: leave "
            f"threshold={threshold:g} out"
        )


def require_same_preparation(start: StartRecipe, recipe: DataRecipe, augmenter: Augmenter) -> None:
    """See that images are prepared as for the weights to start from, or otherwise on purpose.

    Raises:
        RecipeError: saying what to give, where the run would prepare them otherwise unasked.
    """
    folder = trained_folder(start.weights)
    if folder is None:  # a bare file tells nothing of its images
        return
    card = read_card(folder)
    asked = list[str]()
    for name, own in (("mean", augmenter.mean), ("std", augmenter.std)):
        known = own.new_tensor(getattr(card.data, name)).reshape(-1, 1, 1)
        if recipe.mean is None and known.shape == own.shape and not torch.allclose(known, own):
            asked.append(f"{name}={','.join(f'{each:.6g}' for each in known.flatten().tolist())}")
    if recipe.size is None and card.recipe.data.size is not None:
        asked.append(f"size={card.recipe.data.size}")
    if asked:
        raise RecipeError(
            f"'{start.weights}' was trained on images prepared otherwise: give "
            f"{' and '.join(asked)}, or what they shall be from now on"
        )


def _file(weights: str) -> Path:
    """The file of weights.

    Raises:
        ModelError: if it is not there.
    """
    folder = trained_folder(weights)
    path = Path(weights).expanduser() if folder is None else RunFolder(folder).weights
    if not path.is_file():
        raise ModelError(
            f"there are no weights '{weights}' to start from; give run:DIR, zoo:NAME or a "
            "safetensors file"
        )
    return path
