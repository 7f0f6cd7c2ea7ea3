"""`spikewright demo`: the whole way, on embedded data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import typer
from rich.table import Table
from rich.text import Text

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
from spikewright.report.summary import percent

QCFS_NOTE = (
    "A residual network of 19 spiking layers, trained with QCFS activations of L = {levels} "
    "levels, converted with the thresholds it learned, without corrections. What the paper found: "
    "at T = {levels} integrate-and-fire gets {fire}, and {shuffled} when the spikes that leave "
    "each layer are put in a random order, their number unchanged. Waiting for all of a window’s "
    "spikes before any is sent makes order not matter: nearest at T = L computes the very "
    "function of the ANN, and {differing} of {samples} predictions differ from its own; TPP, the "
    "paper’s neuron, gets {tpp}. But D layers that wait answer after (D + 1) T steps. The spike "
    "tracer does not wait, takes spikes back, and settles at the answer of nearest."
)
RELU_NOTE = (
    "The same architecture with ReLU: nothing was done in training to make it convert well. "
    "Thresholds minimise each channel’s error on {calibration} training images, and biases are "
    "corrected for every T."
)


def demo(context: typer.Context, output: OutputOptions, seed: Seed = 0) -> None:
    """Train a deep small network on handwritten digits, convert it with six neurons, and compare.

    Its activations are quantised (QCFS): converted with `nearest` at T = L it gives the ANN's own
    predictions. A twin with ReLU is trained and converted too.

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
    parts = (result.qcfs, result.relu)
    return Outcome(_joined_csv(parts), report, [_joined_table(result)])


def _joined_table(result: DemoResult) -> tuple[Table, Sequence[str]]:
    """One table, a block for each source network."""
    blocks = [sweep_table(part.name, part.sweep) for part in (result.qcfs, result.relu)]
    (table, beneath), (second, _) = blocks
    table.title = "Handwritten digits, accuracy in % on the test split"
    joined = Table(title=table.title, title_justify="left", title_style="bold")
    for column in table.columns:
        joined.add_column(str(column.header), justify=column.justify)
    for part, block in zip((result.qcfs, result.relu), (table, second), strict=True):
        joined.add_row(Text(part.name, style="bold"))
        for row in zip(*(column.cells for column in block.columns), strict=True):
            joined.add_row(*row)
        joined.add_section()
    line = (
        f"QCFS network, nearest at T = {LEVELS} = L: {result.differing_images} of "
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
    swept = result.qcfs.sweep
    right = {
        name: percent(swept.row(network, LEVELS).accuracy or 0.0)
        for name, network in (("fire", "IF"), ("shuffled", "shuffled IF"), ("tpp", "TPP"))
    }
    samples = swept.rows[0].samples
    notes = (
        QCFS_NOTE.format(
            levels=LEVELS, differing=result.differing_images, samples=samples, **right
        ),
        RELU_NOTE.format(calibration=CALIBRATION_SAMPLES),
    )
    return Report(
        title="Handwritten digits, spike by spike",
        subject="A residual network of 24,000 parameters, trained on 1,078 of scikit-learn’s "
        "real handwritten digits, converted to spiking networks with six kinds of neuron.",
        studies=(_study(result, result.qcfs, notes[0]), _study(result, result.relu, notes[1])),
        command=command_line(asked),
        configuration=asked,
    )


def _study(result: DemoResult, part: DemoPart, note: str) -> Study:
    """The test split's first image goes through the layers."""
    image, label = result.shown[0]
    classes = result.data.classes
    images = torch.cat([batch for batch, _ in loader(result.shown, TEST_BATCH)])
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
        trajectories=part.trajectories,
        errors=observe_errors(part.networks, images, LEVELS, result.seed),
        thresholds=observe_thresholds("nearest", nearest, images, LEVELS, result.seed),
    )
