"""`spikewright evaluate`: the accuracy of a saved network, beside the ANN it was made of."""

from __future__ import annotations

from typing import Annotated

import typer

from spikewright.cli.console import progress_bar
from spikewright.cli.options import (
    CONVERSION,
    CompileOption,
    DataOptions,
    DeviceOption,
    FramesOption,
    MeasurementOptions,
    OutputOptions,
    SavedNetwork,
    SeedOption,
    ShareOption,
)


def evaluate(
    file: SavedNetwork,
    data: DataOptions,
    measurement: MeasurementOptions,
    output: OutputOptions,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="T,T,...",
            help="Numbers of time steps. Default: those that it was converted for; at others its "
            "thresholds come from the same statistics, without bias correction.",
            rich_help_panel=CONVERSION,
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    compile: CompileOption = False,
    frames: FramesOption = False,
    share: ShareOption = None,
) -> None:
    """Measure a saved network on images, beside the ANN that it was made of.

    The model's own code is not needed, and nothing of the file is executed. Images are prepared as
    those that it was calibrated with, when 'spikewright convert' saved it.

    DIR receives config.json, results.csv, results.json, timing.json and report.html. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there, to
    the same results.
    """
    from spikewright.cli.evaluate import Evaluation, run_evaluation
    from spikewright.cli.outcome import deliver, prepare
    from spikewright.cli.parse import steps_of

    asked = Evaluation(file, data, measurement, seed, device, compile, frames)
    times = None if steps is None else steps_of(steps)
    prepare(output)
    with progress_bar("evaluate") as advance:
        outcome = run_evaluation(asked, times, advance, output.output, share)
    deliver(outcome, output)
