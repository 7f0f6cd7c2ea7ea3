"""What arrives at the inputs of a network: batches, and their flows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from spikewright.devices import items_of
from spikewright.errors import AnalysisError
from spikewright.graph import Graph
from spikewright.graph.inputs import Batch, named, tensors_of
from spikewright.measure.batches import NO_SAMPLE, Labels, image_batches, labelled_batches
from spikewright.measure.checked import taken_apart
from spikewright.measure.energy.flow import Flow, Form, evenly
from spikewright.network.frames import are_frames

_ROUNDING = 1e-6
"""Part of a number of events that float32 may lose when frames are scaled."""


def batches_for(graph: Graph, data: Iterable[Any]) -> Iterator[tuple[Any, Tensor | None]]:
    """Checked batches as the network is called with them, with labels where there are any.

    Args:
        graph: of the network.
        data: batches, alone or with labels. Several inputs come as a tuple with labels, or as a
            mapping of keyword arguments.

    Raises:
        AnalysisError: without data.
    """
    several = len(graph.inputs) > 1 or any(port.dtype is not None for port in graph.inputs)
    dimensions = None if several else len(graph.signal.shape)
    seen = False
    for number, item in enumerate(items_of(data)):
        pairs: Iterable[tuple[Any, Tensor | None]]
        if several or taken_apart(item)[2]:
            wanted = Labels.IF_ANY if several else Labels.CLASSES
            pairs = labelled_batches(
                [item], dimensions, first=number, required=False, wanted=wanted
            )
        else:
            images_only = image_batches([item], first=number, required=False)
            pairs = ((images, None) for images in images_only)
        for shown, labels in pairs:
            seen = True
            yield shown, labels
    if not seen:
        raise AnalysisError(NO_SAMPLE)


def flows_at(graph: Graph, batch: Batch, event_value: float | None) -> dict[str, Flow]:
    """The flow at every input of a graph for a batch; indices and masks are no numbers that flow.

    Args:
        graph: of the network.
        batch: of all inputs, or frames `[T, B, *S]` of the one.
        event_value: what an event adds to a frame; None where it is not said.

    Raises:
        AnalysisError: for an `event_value` of which the input is no multiple.
    """
    if are_frames(batch, graph):
        return {graph.signal.name: _frames_flow(batch.cpu(), event_value)}
    if event_value is not None:
        shapes = ", ".join(str(list(tensor.shape)) for _, tensor in named(graph.inputs, batch))
        raise _no_events(event_value, shapes)
    indices = {port.name for port in graph.inputs if port.dtype is not None}
    return {
        name: Flow(constant=True, value=tensor) if name in indices else _steady_flow(tensor.cpu())
        for name, tensor in named(graph.inputs, batch)
    }


def flows_of_one(graph: Graph, batch: Batch) -> dict[str, Flow]:
    """The flow at every input of the network's source, for one sample without zeros.

    Args:
        graph: of the network.
        batch: of all inputs, whose indices and masks are taken.
    """
    return {
        port.name: Flow(constant=True, value=tensor)
        if port.dtype is not None
        else evenly(Form.STEADY, port.shape, 1)
        for port, tensor in zip(graph.inputs, tensors_of(batch), strict=True)
    }


def _steady_flow(shown: Tensor) -> Flow:
    steady = torch.full((1, *shown.shape[1:]), float(len(shown)), dtype=torch.float64)
    present = (shown != 0).double().sum(0, keepdim=True)
    return Flow({Form.STEADY: steady, Form.PRESENT: present})


def _frames_flow(shown: Tensor, event_value: float | None) -> Flow:
    """Frames are events where they are whole numbers from 0, else graded."""
    if event_value is not None:
        shown = _in_events(shown, event_value)
    if bool((shown == shown.round()).all()) and bool((shown >= 0).all()):
        return Flow({Form.SPIKES: shown.double().sum((0, 1))[None]})
    return Flow({Form.GRADED: (shown != 0).double().sum((0, 1))[None]})


def _in_events(shown: Tensor, value: float) -> Tensor:
    """Frames `[T, B, *S]` as numbers of events, float64."""
    multiples = shown.double() / value
    events = multiples.round()
    whole = torch.allclose(multiples, events, rtol=_ROUNDING, atol=0) and bool((events >= 0).all())
    if not value > 0 or not whole:
        raise _no_events(value, str(list(shown.shape)))
    return events


def _no_events(value: float, shape: str) -> AnalysisError:
    return AnalysisError(
        f"event_value={value}: a batch {shape} is no frames [T, B, ...] of whole "
        "numbers from 0 times that; give EventData.event_value with frames that are not "
        "normalised, or leave it out"
    )
