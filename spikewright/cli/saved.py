"""Data for a saved network: prepared as its notes say, and seen to fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from spikewright.cli.console import errors
from spikewright.cli.failures import WrongUsage
from spikewright.cli.fit import check_outputs, told
from spikewright.cli.open_data import OpenData, Preparation, open_data
from spikewright.cli.options import DataOptions
from spikewright.data import ImageData
from spikewright.decoding import decoded
from spikewright.errors import DataError, RunError
from spikewright.network import SpikingNetwork

PREPARATION, CLASSES = "preparation", "classes"


def notes_of(data: OpenData) -> dict[str, Any]:
    """The notes to save with a network that was calibrated on this data."""
    return {PREPARATION: asdict(data.preparation), CLASSES: list(data.images.classes)}


def open_for(network: SpikingNetwork, notes: Mapping[str, Any], options: DataOptions) -> OpenData:
    """Open data for a saved network.

    Args:
        network: as loaded.
        notes: of its file; they say how images are prepared where the options do not.
        options: which data.

    Raises:
        WrongUsage: when it does not exist, or does not fit the network.
        RunError: when the notes hold no preparation that makes sense.
    """
    known = _preparation_in(notes)
    if known is None and options.mean is None and options.size is None:
        errors().print(
            "the file does not say how images were prepared: pixels are left in 0 .. 1, unless "
            "--mean, --std and --size say otherwise",
            soft_wrap=True,
        )
    double = network.dtype is torch.float64
    data = open_data(options, known or Preparation(), double=double)
    images, graph = data.images, network.graph
    if tuple(images.image_shape) != graph.input_shape:
        raise WrongUsage(
            f"the network takes {told(graph.input_shape)}, the images of '{images.name}' are "
            f"{told(images.image_shape)}; --size sets the side of pictures"
        )
    check_outputs(graph.output_shape[0], images)
    _check_classes(notes, images)
    return data


def _preparation_in(notes: Mapping[str, Any]) -> Preparation | None:
    """How a saved network is given images; None when its file does not say.

    Raises:
        RunError: when what it says is no preparation.
    """
    if notes.get(PREPARATION) is None:
        return None
    what = "the saved network's note 'preparation'"
    try:
        return decoded(Preparation, notes[PREPARATION], what)
    except DataError as error:
        raise RunError(f"{what}: {error}") from error


def _check_classes(notes: Mapping[str, Any], data: ImageData) -> None:
    """Refuse data whose classes are those of the saved network in another order.

    Raises:
        WrongUsage: naming the first class that stands elsewhere.
    """
    known = notes.get(CLASSES)
    if not isinstance(known, list) or sorted(map(str, known)) != sorted(data.classes):
        return  # other names may well mean the same classes
    for number, (then, now) in enumerate(zip(known, data.classes, strict=True)):
        if then != now:
            raise WrongUsage(
                f"answer {number} of the saved network means '{then}', and label {number} of "
                f"'{data.name}' is '{now}': the same classes in another order; give the data in "
                "the order of the network's"
            )
