"""A network under experiment: what a user names, and what it is once it is open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import nn

from spikewright.activations import QCFS
from spikewright.decoding import decoded, encoded
from spikewright.errors import ExperimentError, RunError
from spikewright.runs import load_model
from spikewright.runs.card import read_card
from spikewright.runs.files import read_json
from spikewright.runs.files import sha256 as file_sha256
from spikewright.runs.kinds import ActivationKind
from spikewright.runs.names import trained_folder
from spikewright.runs.recipe import Recipe
from spikewright.runs.run_folder import RunFolder

ARCHITECTURES = {
    "resnet18": "ResNet-18",
    "resnet20": "ResNet-20",
    "resnet34": "ResNet-34",
    "vgg16": "VGG-16",
    "regnet_x_400mf": "RegNetX-400MF",
    "digits_cnn": "DigitsCNN",
}
"""Names in tables; others stand as they are."""


@dataclass(frozen=True)
class _Description:
    """What a file that names a network says."""

    name: str
    model: str
    data: str
    note: str = ""
    weights: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: int | None = None


_KNOWN = {entry.name for entry in fields(_Description)}
_NEEDED = {"name", "model", "data"}


@dataclass(frozen=True)
class NetworkSource:
    """The origin of a network and what it was trained on.

    Attributes:
        name: a folder of results carries it.
        architecture: as in tables.
        data: the data set's name without its folder, such as "cifar10".
        model: as `load_model` takes it.
        weights: a safetensors file; None where the model has its own.
        arguments: of the model's factory, plain JSON values.
        mean, std: per channel, of the normalisation; None for pixels in 0 .. 1.
        size: side of the images; None for their own.
        sha256: of the file that holds the weights; None where there is none.
        note: what a reader should know of it, such as who trained it.

    Raises:
        ExperimentError: when made with a name that no folder can carry, or with arguments that no
            record can keep.
    """

    name: str
    architecture: str
    data: str
    model: str
    weights: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: int | None = None
    sha256: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name):
            raise ExperimentError(
                f"the name of a network becomes a folder: letters, digits, '-', '_' and '.' only, "
                f"got {self.name!r}"
            )
        try:
            json.dumps(self.arguments, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ExperimentError(
                f"the arguments of network '{self.name}' stand in the record of its results, as "
                f"plain finite JSON values ({error}); name a factory that needs no others"
            ) from error

    def factory(self) -> tuple[str, dict[str, Any]]:
        """What makes the network, and its arguments; no folder of this machine is in it.

        Of a network that this library trained they are its architecture and what else its recipe
        says of it, so that a run and its copy in the zoo are one network.

        Raises:
            ModelError, RecipeError, RunError: for what is no card; see `read_card`.
        """
        folder = trained_folder(self.model)
        if folder is not None:
            card = read_card(folder)
            recipe = {k: v for k, v in encoded(card.recipe.network).items() if v is not None}
            return recipe.pop("model"), {"num_classes": card.num_classes, **recipe}
        if self.model.endswith(".pt2"):
            program = Path(self.model).expanduser()
            return program.name, {"sha256": file_sha256(program)}
        return self.model, json.loads(json.dumps(self.arguments))

    def load(self) -> nn.Module:
        """The network in eval mode, on the CPU.

        Raises:
            ModelError: see `load_model`.
        """
        return load_model(self.model, self.weights, **self.arguments)


def source_of(text: str) -> NetworkSource:
    """Read what a user names: a training run, a network of the zoo, or a file ending in .json.

    The run is the folder DIR of a finished one or `run:DIR`, the network of the zoo `zoo:NAME`; its
    results carry the name of the folder, or NAME. The file names a network from elsewhere:
    `{"name", "model", "data"}` and, where needed, `weights` (a path from the file's folder),
    `arguments`, `mean`, `std`, `size` and `note`.

    Raises:
        ExperimentError: for a file without what is needed, or with what is unknown.
        ModelError: for a folder without a finished run, or a name that the zoo does not have.
    """
    folder, path = trained_folder(text), Path(text).expanduser()
    if folder is None and path.suffix == ".json":
        return _described(path)
    return _trained(folder or path)


def _trained(folder: Path) -> NetworkSource:
    card, weights = read_card(folder), RunFolder(folder).weights
    return NetworkSource(
        name=folder.resolve().name,
        architecture=_architecture(card.architecture),
        data=card.data.name,
        model=f"run:{folder}",
        mean=card.data.mean,
        std=card.data.std,
        size=card.recipe.data.size,
        sha256=file_sha256(weights) if weights.is_file() else None,
        note=_training_note(card.recipe),
    )


def _training_note(recipe: Recipe) -> str:
    """What sets networks of one architecture and data set apart."""
    start = "" if recipe.start is None else f" from {recipe.start.weights}"
    decayed = recipe.network.activation is not ActivationKind.RELU and (
        recipe.optimisation.decay_thresholds
    )
    thresholds = ", weight decay on its thresholds too" if decayed else ""
    epoch = (
        "the last epoch" if recipe.optimisation.keep_last else "the best epoch chosen on validation"
    )
    return f"trained by this library{start}{thresholds}, {epoch}"


def _described(path: Path) -> NetworkSource:
    try:
        document = read_json(path)
    except RunError as error:
        raise ExperimentError(str(error)) from error
    keys: set[str] = set(document) if isinstance(document, dict) else set()
    if not _NEEDED <= keys <= _KNOWN:
        raise ExperimentError(
            f"'{path}' does not describe a network: it needs {', '.join(sorted(_NEEDED))} and may "
            f"have {', '.join(sorted(_KNOWN - _NEEDED))}, got {', '.join(sorted(keys)) or 'none'}"
        )
    try:
        description = decoded(_Description, document, f"'{path}'")
    except RunError as error:
        raise ExperimentError(f"{error}: it does not describe a network") from error
    weights = None if description.weights is None else path.parent / description.weights
    if weights is not None and not weights.is_file():
        raise ExperimentError(f"'{path}' names weights that are not there: '{weights}'")
    if {"spec", "weights"} & description.arguments.keys():
        raise ExperimentError(
            f"'{path}': 'model' and 'weights' stand beside 'arguments', not in it"
        )
    return NetworkSource(
        name=description.name,
        architecture=_architecture(description.model.rpartition(":")[2]),
        data=description.data,
        model=description.model,
        weights=weights,
        arguments=description.arguments,
        mean=description.mean,
        std=description.std,
        size=description.size,
        sha256=None if weights is None else file_sha256(weights),
        note=description.note,
    )


def _architecture(name: str) -> str:
    return ARCHITECTURES.get(name, name)


def levels_of(model: nn.Module) -> int | None:
    """L of a QCFS network; None for one without QCFS.

    Raises:
        ExperimentError: when its layers differ in L, so that no T is lossless for all.
    """
    levels = {module.levels for module in model.modules() if isinstance(module, QCFS)}
    if len(levels) > 1:
        raise ExperimentError(
            f"the QCFS layers of this network have different levels, {sorted(levels)}: the tables "
            "are for one L"
        )
    return next(iter(levels), None)
