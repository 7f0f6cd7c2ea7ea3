"""`spikewright sweep`: accuracy at every T, beside the ANN."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from spikewright.cli.console import progress_bar
from spikewright.cli.options import (
    NEURON_HELP,
    SWEPT_NEURONS,
    CompileOption,
    ConversionOptions,
    DataOptions,
    FramesOption,
    MeasurementOptions,
    ModelOptions,
    OutputOptions,
    ShareOption,
    StepsOption,
)


def sweep(
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...",
            help=f"{NEURON_HELP} Default: own with a method, else {SWEPT_NEURONS}.",
            show_default=False,
        ),
    ] = None,
    steps: StepsOption = "1,2,4,8,16,32",
    compile: CompileOption = False,
    frames: FramesOption = False,
    share: ShareOption = None,
) -> None:
    """Measure the accuracy of MODEL with several neurons at every T, beside the ANN.

    Thresholds come from the training split, never from the images measured.

    DIR receives config.json, results.csv, results.json, timing.json and report.html. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there, to
    the same results.

    Several processes share the calibration and the images, and find what one finds, when they are
    started by 'torchrun --nproc-per-node N -m spikewright sweep ...' or 'accelerate launch
    --multi_gpu --num_processes N -m spikewright sweep ...', with --device cpu on CPUs.
    ('accelerate launch --cpu' starts one process alone.)
    """
    from spikewright.cli.measure import Task, run_sweep
    from spikewright.cli.outcome import deliver, prepare
    from spikewright.cli.parse import neurons_of, steps_of
    from spikewright.cli.source import method_for
    from spikewright.cli.together import together

    task = Task(model, data, measurement, conversion, steps_of(steps))
    neuron = neuron or ("own" if conversion.method else SWEPT_NEURONS)
    neurons = neurons_of(neuron, method_for(conversion))
    asked = {"neuron": neuron, "steps": steps, "compile": compile, "frames": frames}
    with together(conversion, lambda: prepare(output)) as (processes, there):
        task = replace(task, conversion=there)
        with progress_bar("sweep", shown=processes.main) as advance:
            outcome = run_sweep(
                task,
                neurons,
                asked,
                advance,
                folder=output.output,
                compiled=compile,
                frames=frames,
                processes=processes,
                share=share,
            )
        processes.wait()
        if processes.main:
            deliver(outcome, output)
