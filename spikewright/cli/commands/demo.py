"""`spikewright demo`: the whole way, on embedded data."""

from __future__ import annotations

from typing import Annotated

import typer

from spikewright.cli.console import progress_bar
from spikewright.cli.options import MAXIMUM_SEED, OutputOptions


def demo(
    output: OutputOptions,
    seed: Annotated[
        int, typer.Option(min=0, max=MAXIMUM_SEED, help="Of training and of spikes.")
    ] = 0,
) -> None:
    """Train a small network on handwritten digits, convert it with every neuron, and compare.

    It also trains a QCFS twin, whose activations are quantised: converted with `nearest` at T = L
    it gives the ANN's own predictions.

    DIR receives config.json, results.csv, results.json and report.html.
    """
    from spikewright.cli.demo import demo_outcome
    from spikewright.cli.outcome import deliver, prepare
    from spikewright.demo import run_demo

    prepare(output)
    with progress_bar("demo") as advance:
        result = run_demo(seed, advance)
    deliver(demo_outcome(result), output)
