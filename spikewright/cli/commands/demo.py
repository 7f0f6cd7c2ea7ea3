"""`spikewright demo`: the whole way, on embedded data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import typer
from rich.table import Table

from spikewright.cli.console import progress_bar
from spikewright.cli.inside import contrasting
from spikewright.cli.options import OutputOptions, Seed
from spikewright.cli.outcome import Outcome, deliver, prepare, sweep_table
from spikewright.cli.record import command_line, record_of
from spikewright.data import loader
from spikewright.demo import (
    CALIBRATION_SAMPLES,
    LEVELS,
    TEST_BATCH,
    DemoPart,
    DemoResult,
    run_demo,
)
from spikewright.report import (
    Report,
    Study,
    observe_errors,
    observe_raster,
    observe_thresholds,
)

RELU_NOTE = (
    "A small residual network with ReLU: nothing was done in training to make it convert well. "
    "Thresholds minimise each channel’s error on {calibration} training images, and biases are "
    "corrected for every T."
)
QCFS_NOTE = (
    "The same architecture trained with QCFS activations of L = {levels} levels. Converted with "
    "the thresholds it learned, without corrections, nearest at T = L computes the very same "
    "function: {differing} of {samples} predictions differ from the ANN’s."
)


def demo(context: typer.Context, output: OutputOptions, seed: Seed = 0) -> None:
    """Train a small network on handwritten digits, convert it with every neuron, and compare.

    It also trains a QCFS twin, whose activations are quantised: converted with `nearest` at T = L
    it gives the ANN's own predictions.

    DIR receives config.json, results.csv, results.json, timing.json and report.html.

    Args:
        seed: The seed of training and of spikes.
    """
    prepare(output)
    with progress_bar("demo") as advance:
        result = run_demo(seed, advance)
    asked = record_of(context, "digits", "cpu", {}, seed=seed)
    deliver(demo_outcome(result, asked), output)


def demo_outcome(result: DemoResult, asked: dict[str, Any]) -> Outcome:
    """Tables, files and report of the demonstration."""
    report = _report(result, asked)
    parts = (result.relu, result.qcfs)
    return Outcome(_joined_csv(parts), report, [_joined_table(result)])


def _joined_table(result: DemoResult) -> tuple[Table, Sequence[str]]:
    """One table, a block for each source network."""
    blocks = [sweep_table(part.name, part.sweep) for part in (result.relu, result.qcfs)]
    (table, beneath), (second, _) = blocks
    table.title = "Handwritten digits, accuracy in % on the test split"
    joined = Table(title=table.title, title_justify="left", title_style="bold")
    for column in table.columns:
        joined.add_column(str(column.header), justify=column.justify)
    for part, block in zip((result.relu, result.qcfs), (table, second), strict=True):
        joined.add_row(f"[bold]{part.name}[/bold]")
        for row in zip(*(column.cells for column in block.columns), strict=True):
            joined.add_row(*row)
        joined.add_section()
    line = (
        f"QCFS twin, nearest at T = {LEVELS} = L: {result.differing_images} of "
        f"{result.qcfs.sweep.rows[0].samples} predictions differ from the ANN's"
    )
    return joined, [*beneath, line]


def _joined_csv(parts: Sequence[DemoPart]) -> str:
    """The rows of all parts under one header, the source network in front."""
    lines: list[str] = []
    for part in parts:
        header, *rows = part.sweep.to_csv().splitlines()
        lines = lines or [f"source,{header}"]
        lines += [f"{part.name},{row}" for row in rows]
    return "\n".join(lines) + "\n"


def _report(result: DemoResult, asked: dict[str, Any]) -> Report:
    samples = result.qcfs.sweep.rows[0].samples
    notes = (
        RELU_NOTE.format(calibration=CALIBRATION_SAMPLES),
        QCFS_NOTE.format(levels=LEVELS, differing=result.differing_images, samples=samples),
    )
    return Report(
        title="Handwritten digits, spike by spike",
        subject="A convolutional network of 24,000 parameters, trained on 1,078 of scikit-learn’s "
        "real handwritten digits, converted to spiking networks with five kinds of neuron.",
        studies=(_study(result, result.relu, notes[0]), _study(result, result.qcfs, notes[1])),
        command=command_line(asked),
        configuration=asked,
    )


def _study(result: DemoResult, part: DemoPart, note: str) -> Study:
    """The test split's first image goes through the layers."""
    image, label = result.data.test[0]
    classes = result.data.classes
    images = torch.cat([batch for batch, _ in loader(result.data.test, TEST_BATCH)])
    nearest = part.networks["nearest"]
    experiment = part.misalignment
    return Study(
        part.name,
        part.sweep,
        note=note,
        raster=observe_raster(
            contrasting(part.networks), image, classes[label], classes, LEVELS, result.seed
        ),
        histograms=experiment.histograms if experiment else (),
        residuals=experiment.residuals if experiment else (),
        errors=observe_errors(part.networks, images, LEVELS, result.seed),
        thresholds=observe_thresholds("nearest", nearest, images, LEVELS, result.seed),
    )
