"""`spikewright misalignment`: spikes rearranged in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from spikewright import measure
from spikewright.cli.command import shared
from spikewright.cli.failures import WrongUsage
from spikewright.cli.measuring import measuring
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    OutputOptions,
    Steps,
)
from spikewright.cli.outcome import Outcome, deliver, layer_table, sweep_table
from spikewright.cli.parse import integrate_fire_of
from spikewright.cli.record import command_line
from spikewright.cli.source import method_for, open_source, subject_of
from spikewright.neurons import Order
from spikewright.report import Report, Study

NOTE = (
    "IF is the network as converted; in the others the spikes that leave every layer are "
    "rearranged in time, their number unchanged (the experiment of arXiv 2502.14487)."
)


@shared
def misalignment(
    context: typer.Context,
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[str, typer.Option(metavar="NAME")] = "if",
    orders: tuple[Order, ...] = tuple(Order),
    layerwise: bool = True,
    steps: Steps = (4, 8, 16),
) -> None:
    """Rearrange the spikes of a converted MODEL in time, and see what that does to its accuracy.

    The experiment of arXiv 2502.14487: the spikes that leave each layer keep their number and
    change their order.

    DIR receives config.json, results.csv, results.json, timing.json and report.html. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there, to
    the same results.

    Args:
        neuron: The neuron whose spikes are rearranged: if or if-hard.
        orders: The orders that spikes are brought into: independent (the paper's probe), shared,
            early, late, reversed.
        layerwise: The spikes of one layer at a time are rearranged as well.
        steps: The numbers of time steps T; each is a design point of the conversion.
    """
    base, seed = integrate_fire_of(neuron, method_for(conversion)), conversion.seed
    if not orders:
        raise WrongUsage("--orders none leaves nothing to compare: name at least one order")
    own = {"neuron": neuron, "orders": orders, "layerwise": layerwise, "steps": steps}
    groups = (model, data, measurement, conversion)
    with measuring(context, output, conversion.device, measurement.share) as job:
        here = replace(conversion, device=job.device)
        source = open_source(model, data, here, job.processes, split=measurement.split)
        images = source.data.measured(measurement, seed)
        of = (source.data, source.fingerprints(), (measurement, seed))
        with job.keeping(*of, *groups, **own) as (asked, cells):
            job.advance(0, None, f"converting to {base.label}")
            result = measure.misalignment(
                source.convert(base, steps, here),
                images,
                steps,
                measurement.seeds_from(seed),
                source.model,
                tuple(dict.fromkeys(orders)),
                layerwise,
                progress=job.progress,
                cells=cells,
            )
    study = Study(
        model.model,
        result.whole,
        note=NOTE,
        histograms=result.histograms,
        layers=result.layers,
        errors=result.errors,
        residuals=result.residuals,
    )
    measured = source.data.images.name
    report = Report(
        title="Temporal misalignment",
        subject=subject_of(model, conversion, measurement, measured),
        studies=(study,),
        command=command_line(asked),
        configuration=asked,
        skipped_pictures=source.data.skipped.names,
    )
    tables = [sweep_table(f"{model.model} on {measured}", result.whole)]
    tables += [layer_table(result.layers)] if result.layers else []
    if job.processes.main:
        deliver(Outcome(result.whole.to_csv(), report, tables), output)
