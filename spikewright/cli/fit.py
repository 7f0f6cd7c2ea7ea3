"""A check that a model suits the images; where it does not, both shapes are named."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spikewright.cli.failures import WrongUsage
from spikewright.data import ImageData
from spikewright.errors import raised_at
from spikewright.graph import Graph
from spikewright.graph.given import Given
from spikewright.graph.model_checks import state_of, takes
from spikewright.models.exported import exported_shape

USUAL_SIDES = (8, 28, 32, 48, 64, 96, 128, 224, 299)
"""The sides of images that are tried when a model refuses those of the data."""

_SIZE = "--size sets the side of pictures"


def check_fit(model: nn.Module, batch: Tensor, data: ImageData, *, classes: bool = True) -> None:
    """See that a model takes a data set's images, and has one output a class.

    Args:
        model: in eval mode.
        batch: some of the images, `[B, C, H, W]`, on the model's device.
        data: what they are of.
        classes: whether it must have one output a class.

    Raises:
        WrongUsage: naming what the images are and what the model takes.
    """
    try:
        with torch.no_grad():
            logits = model(batch[:2])
    except Exception as error:  # whatever the user's model raises on these images
        raise WrongUsage(
            f"the model does not take the images of '{data.name}', which are "
            f"{shape_text(batch.shape[1:])}; {_other_dtype(model, batch) or _wanted(model, batch)} "
            f"({type(error).__name__}: {error}){raised_at(error)}"
        ) from error
    if not classes or not isinstance(logits, Tensor) or logits.ndim != 2:
        return  # convert() says what is wrong with it
    check_outputs(
        logits.shape[1], data, " (--model-argument num_classes=... where its factory takes it)"
    )


def check_outputs(outputs: int, data: ImageData, more: str = "") -> None:
    """See that a model has one output a class.

    Args:
        outputs: of the model.
        data: what it is measured on.
        more: how another model is named.

    Raises:
        WrongUsage: if not.
    """
    if outputs != len(data.classes):
        raise WrongUsage(
            f"the model has {outputs} outputs and '{data.name}' {len(data.classes)} classes, so "
            "its labels would mean something else; give the model that was trained on this data"
            f"{more}"
        )


def answers_classes(graph: Graph, data: ImageData) -> bool:
    """Whether a network answers one number a class of the data."""
    return graph.structure.logits is not None and graph.output_shape == (len(data.classes),)


def _other_dtype(model: nn.Module, batch: Tensor) -> str:
    """What to do about weights of another dtype than the images; "" if they have the same."""
    dtypes = {t.dtype for t in state_of(model).values() if t.is_floating_point()}
    if not dtypes or batch.dtype in dtypes:
        return ""
    weights = ", ".join(sorted(map(str, dtypes)))
    return (
        f"its weights are {weights}, the images {batch.dtype}: make the model in torch.float32 "
        "(model.float()), or give --precision float64, which runs both in torch.float64"
    )


def _wanted(model: nn.Module, batch: Tensor) -> str:
    """The input that a model takes, as far as trials can show."""
    exported = exported_shape(model)
    if exported is not None:
        return f"it was exported for {shape_text(exported)}. {_SIZE}"
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    channels = int(batch.shape[1]) if first is None else first.in_channels
    shapes = [(channels, side, side) for side in USUAL_SIDES]
    accepted = [
        shape_text(shape) for shape in shapes if takes(model, Given((batch.new_zeros(2, *shape),)))
    ]
    if accepted:
        return f"it takes {', '.join(accepted)}, of the sizes that were tried. {_SIZE}"
    channels_alone = f"it takes {channels} channels" if first is not None else ""
    return f"{channels_alone or 'nor any of the usual sizes'}. {_SIZE}"


def shape_text(shape: Sequence[int]) -> str:
    """A shape in words."""
    return " x ".join(map(str, shape))
