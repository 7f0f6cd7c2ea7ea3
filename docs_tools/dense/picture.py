"""One canvas as the ANN sees it and as the spiking networks do: boxes above, masks below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from docs_tools.dense.canvases import SIDE, Box
from docs_tools.dense.measure import BACKGROUND, PICTURED, RECORD, SHADES, Record
from paper.chart import STYLE, on_white, svg

TITLE = "A canvas, the ANN's boxes and masks on it, and those of its spiking networks"
COLUMNS = {"ANN": "ANN", "4": "spikes, T = 4", "8": "spikes, T = 8"}
"""Of the networks that are shown, as the record and as the picture name them."""
COLOURS: NDArray[np.float64] = matplotlib.colormaps["tab10"](np.arange(10))[:, :3]
"""A colour for each digit, red, green and blue in 0 .. 1."""
COLOURS[7] = (1.0, 0.72, 0.55)  # its grey cannot be told from an image


def write(record: Record) -> Path:
    """Write the picture beside the record; returns its file."""
    path = RECORD.with_name(record.picture)
    path.write_text(picture(record), encoding="utf-8")
    return path


def picture(record: Record) -> str:
    """The picture as SVG on white ground."""
    shown = record.shown
    grey = np.array([[SHADES.index(sign) for sign in row] for row in shown.image]) / len(SHADES)
    image = np.repeat(grey[..., None], 3, 2)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.5))
        axes: Any = figure.subplots(2, 1 + len(COLUMNS))
        figure.subplots_adjust(0.035, 0.085, 0.99, 0.945, wspace=0.05, hspace=0.22)
        _show(axes[0, 0], image, "image", "")
        _show(axes[1, 0], image, "", "")
        for row, task in enumerate(("boxes", "masks")):
            axes[row, 0].set_ylabel(task, fontsize=11)
        for column, (name, title) in enumerate(COLUMNS.items(), 1):
            _show(axes[0, column], image, title, _told(record, "boxes", name))
            _frame(axes[0, column], shown.boxes[name])
            _show(
                axes[1, column],
                _coloured(image, shown.masks[name]),
                "",
                _told(record, "masks", name),
            )
        return on_white(svg(figure), TITLE)


def _show(axes: Axes, image: NDArray[np.float64], title: str, beneath: str) -> None:
    """An image `[H, W, 3]` between two lines of text."""
    axes.imshow(image, interpolation="nearest", extent=(0, SIDE, SIDE, 0))
    axes.set_title(title, fontsize=11, pad=4)
    axes.set_xlabel(beneath, fontsize=9, labelpad=3)
    axes.set_xticks([])
    axes.set_yticks([])


def _frame(axes: Axes, boxes: Sequence[Box]) -> None:
    """Draw boxes, each with its digit."""
    for left, top, right, bottom, digit in boxes:
        colour = COLOURS[digit]
        size = (right - left, bottom - top)
        axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=colour, linewidth=2))
        label = {"facecolor": colour, "edgecolor": "none", "pad": 1.2}
        axes.text(
            left + 0.6,
            top,
            f"{digit}",
            color="white",
            fontsize=9,
            weight="bold",
            va="center",
            bbox=label,
        )


def _coloured(image: NDArray[np.float64], mask: Sequence[str]) -> NDArray[np.float64]:
    """An image with the pixels of every digit in its colour."""
    painted = image.copy()
    for y, row in enumerate(mask):
        for x, sign in enumerate(row):
            if sign != BACKGROUND:
                painted[y, x] = COLOURS[int(sign)]
    return painted


def _told(record: Record, task: str, name: str) -> str:
    """The mean overlap of a network over all canvases."""
    (row,) = (
        row
        for row in record.rows
        if row.task == task and row.neuron in PICTURED and f"{row.steps or row.neuron}" == name
    )
    told = f"mean IoU {row.truth.mean:.3f}"
    return told if name == "ANN" else f"{told}\n{row.ann.mean:.3f} with the ANN's"
