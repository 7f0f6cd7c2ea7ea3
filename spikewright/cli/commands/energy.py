"""`spikewright energy`: operations and energies, layer by layer."""

from __future__ import annotations

from typing import Annotated

import typer

from spikewright.cli.console import progress_bar
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import (
    NEURON_HELP,
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    OutputOptions,
    ShareOption,
    StepsOption,
)


def energy(
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[
        str,
        typer.Option(metavar="NAME,NAME,...", help=NEURON_HELP),
    ] = "if,nearest,nearest:binary,nearest:first-spike",
    steps: StepsOption = "8",
    share: ShareOption = None,
) -> None:
    """Count the operations of a converted MODEL, layer by layer, and estimate their energy.

    Spikes times exact fan-outs, beside the ANN; energies are estimates by published constants
    (Horowitz 2014, 45 nm). Stochastic neurons are run with --seed alone.

    DIR receives config.json, operations.csv, operations.json and timing.json. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there.
    spikewright report DIR shows which layers cost the energy, and why.
    """
    from spikewright.cli.energy import deliver, run_energy
    from spikewright.cli.measure import Task
    from spikewright.cli.output import prepare_folder
    from spikewright.cli.parse import neurons_of, steps_of
    from spikewright.cli.source import method_for

    if measurement.seeds != MeasurementOptions().seeds:
        raise WrongUsage("--seeds has no effect on energy: it runs with --seed alone")
    task = Task(model, data, measurement, conversion, steps_of(steps))
    neurons = neurons_of(neuron, method_for(conversion))
    prepare_folder(output.output)
    with progress_bar("energy") as advance:
        asked = {"neuron": neuron, "steps": steps}
        configuration, found = run_energy(
            task, neurons, asked, advance, folder=output.output, share=share
        )
    deliver(configuration, found, output)
