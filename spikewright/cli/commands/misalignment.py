"""`spikewright misalignment`: spikes rearranged in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from spikewright.cli.console import progress_bar
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    OutputOptions,
    ShareOption,
    StepsOption,
)


def misalignment(
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[str, typer.Option(metavar="NAME", help="if or if-hard.")] = "if",
    orders: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME,...",
            help="How spikes are rearranged: independent (the paper's probe), shared, early, "
            "late, reversed.",
        ),
    ] = "independent,shared,early,late,reversed",
    layerwise: Annotated[bool, typer.Option(help="Also rearrange one layer at a time.")] = True,
    steps: StepsOption = "4,8,16",
    share: ShareOption = None,
) -> None:
    """Rearrange the spikes of a converted MODEL in time, and see what that does to its accuracy.

    The experiment of arXiv 2502.14487: the spikes that leave each layer keep their number and
    change their order.

    DIR receives config.json, results.csv, results.json, timing.json and report.html. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there, to
    the same results.
    """
    from spikewright.cli.measure import Task, run_misalignment
    from spikewright.cli.outcome import deliver, prepare
    from spikewright.cli.parse import integrate_fire_of, orders_of, steps_of
    from spikewright.cli.source import method_for
    from spikewright.cli.together import together

    task = Task(model, data, measurement, conversion, steps_of(steps))
    base, named = integrate_fire_of(neuron, method_for(conversion)), orders_of(orders)
    asked = {"neuron": neuron, "orders": orders, "layerwise": layerwise, "steps": steps}
    with together(conversion, lambda: prepare(output)) as (processes, there):
        task = replace(task, conversion=there)
        with progress_bar("misalignment", shown=processes.main) as advance:
            outcome = run_misalignment(
                task,
                base,
                named,
                layerwise,
                asked,
                advance,
                folder=output.output,
                processes=processes,
                share=share,
            )
        processes.wait()
        if processes.main:
            deliver(outcome, output)
