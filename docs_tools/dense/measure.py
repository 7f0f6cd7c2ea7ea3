"""What a detector and a segmenter come to as spikes: their overlap with the truth and the ANN."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import spikewright as sw
from docs_tools import records
from docs_tools.dense.canvases import Box, Canvases, boxes_iou, drawn, masks_iou
from docs_tools.dense.networks import (
    Detector,
    Segmenter,
    Step,
    boxes_of,
    detection_loss,
    segmentation_loss,
    trained,
)
from docs_tools.energies import over_int8
from paper.dense import DenseRow, Overlap
from spikewright.cli.parse import neuron_of
from spikewright.measure import mean_interval

RECORD = Path("docs/results/dense-digits.json")
COMPARED = (("nearest:binary", 4), ("nearest:binary", 8), ("tracer", 15))
"""Neurons as the command line spells them, and T."""
PICTURED = ("ANN", "nearest:binary")
BATCH, PRICED = 50, 8
"""Canvases at a time, and those whose operations are counted."""
SHADES, BACKGROUND = "0123456789abcdef", "."


@dataclass(frozen=True)
class Task:
    """What a network is for.

    Attributes:
        name: of the task.
        make, loss: the network, and what it is trained by.
        read: the answer to every canvas, of a network's outputs.
        truth: the right answers.
        iou: of two answers to one canvas.
    """

    name: str
    make: Callable[[], nn.Module]
    loss: Step
    read: Callable[[Any], Sequence[Any]]
    truth: Callable[[Canvases], Sequence[Any]]
    iou: Callable[[Any, Any], float]


TASKS = (
    Task(
        "boxes",
        Detector,
        detection_loss,
        lambda out: tuple(boxes_of(out)),
        lambda canvases: canvases.boxes,
        boxes_iou,
    ),
    Task(
        "masks",
        Segmenter,
        segmentation_loss,
        lambda out: out.argmax(1).unbind(),
        lambda canvases: canvases.masks.unbind(),
        masks_iou,
    ),
)


@dataclass(frozen=True)
class Shown:
    """The first of the canvases for testing with the most digits, and the answers to it.

    Attributes:
        image: its rows, a hexadecimal digit a pixel.
        boxes: by network, "ANN" or T.
        masks: their rows by network, a digit a pixel and a dot for the background.
    """

    image: tuple[str, ...]
    boxes: Mapping[str, tuple[Box, ...]]
    masks: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Record:
    """What was measured.

    Attributes:
        picture: the file beside the record that shows it.
        config: how many canvases and epochs.
        rows: a network on a task each.
        shown: one canvas.
        versions: of this library and torch.
    """

    picture: str
    config: Mapping[str, int]
    rows: tuple[DenseRow, ...]
    shown: Shown
    versions: Mapping[str, str]


def measured(
    train: int = 2000,
    epochs: int = 12,
    tested: int = 200,
    compared: Sequence[tuple[str, int]] = COMPARED,
) -> Record:
    """Train both networks, convert them, and measure.

    Args:
        train: canvases of training digits; thresholds come from the first 256.
        epochs: of either training.
        tested: canvases of test digits.
        compared: neurons as the command line spells them, and T.
    """
    fit, test = drawn(train, "train", 0), drawn(tested, "test", 1)
    rows, shown = list[DenseRow](), dict[str, dict[str, Any]]()
    number = max(range(tested), key=lambda n: len(test.boxes[n]))
    for task in TASKS:
        model = trained(task.make, task.loss, fit, epochs)
        expected, shown[task.name] = (), {}
        for network, steps, answer, cost in _answers(task, model, fit, test, compared):
            expected = expected or answer
            truth, ann = (
                _overlap([task.iou(a, b) for a, b in zip(answer, other, strict=True)])
                for other in (task.truth(test), expected)
            )
            rows.append(DenseRow(task.name, network, steps, truth, ann, *cost))
            if network in PICTURED:
                shown[task.name][f"{steps or network}"] = answer[number]
    config = {"train": train, "epochs": epochs, "tested": tested}
    pictured = Shown(
        _rows_of((test.images[number, 0].clamp(0, 1) * (len(SHADES) - 1)).round().long(), SHADES),
        {name: _rounded(boxes) for name, boxes in shown["boxes"].items()},
        {name: _rows_of(mask, BACKGROUND + SHADES[:10]) for name, mask in shown["masks"].items()},
    )
    return Record(
        RECORD.with_suffix(".svg").name, config, tuple(rows), pictured, records.versions()
    )


def _answers(
    task: Task,
    model: nn.Module,
    fit: Canvases,
    test: Canvases,
    compared: Sequence[tuple[str, int]],
) -> Iterator[tuple[str, int, Sequence[Any], tuple[int | None, float | None]]]:
    """Name and T of every network, its answers, steps until them and energy; the ANN first."""
    with torch.no_grad():
        yield "ANN", 0, task.read(model(test.images)), (None, None)
    prepared = sw.prepare(model, list(fit.images[:256].split(BATCH)))
    for neuron, steps in compared:
        snn = prepared.convert(neuron_of(neuron), steps=steps)
        answer = [a for part in test.images.split(BATCH) for a in task.read(snn(part))]
        used = sw.operations(snn, [test.images[:PRICED]])
        yield neuron, steps, answer, (used.latency, over_int8(used))


def _overlap(values: Sequence[float]) -> Overlap:
    """Of one value for each canvas."""
    mean = statistics.fmean(values)
    low, high = mean_interval(mean, statistics.fmean(v * v for v in values), len(values))
    return Overlap(mean, (high - low) / 2)


def _rows_of(values: torch.Tensor, signs: str) -> tuple[str, ...]:
    """Whole numbers `[H, W]` as a text a row."""
    return tuple("".join(signs[value] for value in row) for row in values.tolist())


def _rounded(boxes: Sequence[Box]) -> tuple[Box, ...]:
    return tuple(
        (round(left, 1), round(top, 1), round(right, 1), round(bottom, 1), digit)
        for left, top, right, bottom, digit in boxes
    )


def write(record: Record, path: Path = RECORD) -> Path:
    """Write the record; returns its file."""
    return records.write(path, record)


def read(path: Path = RECORD) -> Record:
    """The record."""
    return records.read(path, Record)
