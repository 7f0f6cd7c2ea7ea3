"""`spikewright energy`: operations and energies, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Annotated, Any

import typer

from spikewright.cli.command import shared
from spikewright.cli.console import print_json, print_note, print_text, to_json
from spikewright.cli.failures import WrongUsage
from spikewright.cli.fit import answers_classes
from spikewright.cli.keeping import discard_cells
from spikewright.cli.measuring import measuring
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    MeasurementOptions,
    ModelOptions,
    NeuronNames,
    OutputOptions,
    Steps,
)
from spikewright.cli.output import times_of, without_times, write_files
from spikewright.cli.parse import items, neurons_of, number
from spikewright.cli.record import DATASET, command_line
from spikewright.cli.source import method_for, open_source, subject_of
from spikewright.measure import (
    HOROWITZ_45NM,
    EnergyModel,
    Operations,
    code_table,
    operations,
    operations_csv,
)
from spikewright.measure.cells import Task
from spikewright.measure.memory import Portions
from spikewright.network import SpikingNetwork
from spikewright.report import Report, results_of


@shared
def energy(
    context: typer.Context,
    model: ModelOptions,
    data: DataOptions,
    measurement: MeasurementOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: NeuronNames = "if,nearest,nearest:binary,nearest:first-spike",
    steps: Steps = (8,),
    function_pj: Annotated[str | None, typer.Option(metavar="NAME=PJ,...")] = None,
) -> None:
    """Count the operations of a converted MODEL, layer by layer, and estimate their energy.

    Spikes are multiplied by exact fan-outs, beside the ANN; energies are estimates by published
    constants (Horowitz 2014, 45 nm). Stochastic neurons are run with --seed alone.

    DIR receives config.json, operations.csv, results.json and timing.json. Until then
    its folder cells keeps what is finished: after a kill the same command goes on from there.
    spikewright report DIR shows which layers cost the energy, and why.

    Args:
        steps: The numbers of time steps T; each is a design point of the conversion.
        function_pj: The energy in pJ of one value of functions that neurons compute, such as
            silu=5,softmax=20; those that only multiply, add and compare have a price.
    """
    if measurement.seeds != MeasurementOptions().seeds:
        raise WrongUsage("--seeds has no effect on energy: it runs with --seed alone")
    neurons, seed = neurons_of(neuron, method_for(conversion)), conversion.seed
    groups = (model, data, measurement, conversion)
    own: dict[str, Any] = {"neuron": neuron, "steps": steps}
    own["function_pj"] = function_pj
    constants = _constants(function_pj)
    with measuring(context, output, conversion.device, measurement.share, page=False) as job:
        here = replace(conversion, device=job.device)
        source = open_source(model, data, here, classes=False, split=measurement.split)
        images = source.data.measured(measurement, seed)

        @lru_cache(maxsize=1)
        def network_of(name: str) -> SpikingNetwork:
            return source.convert(neurons[name], steps, here)

        def count(name: str, t: int) -> Operations:
            network = network_of(name)
            graph = network.graph
            classes = answers_classes(graph, source.data.images)

            def counted(batches: Iterable[Any]) -> Operations:
                shown = batches if classes else (batch for batch, _ in batches)
                return operations(network, shown, t, seed=seed, model=constants)

            return Portions().again(counted, images, len(graph.signal.shape))

        tasks = [
            Task(f"{name}, T = {t}", partial(count, name, t), group=name)
            for name in neurons
            for t in steps
        ]
        of = (source.data, source.fingerprints(), (measurement, seed))
        with job.keeping(*of, *groups, **own) as (asked, cells):
            for number, task in enumerate(cells.measure(tasks), start=1):
                job.advance(number, cells.own(tasks), task.name)
            counts = cells.gather([task.name for task in tasks], Operations)
    if job.processes.main:
        _tell_unused(constants.function_pj, counts)
        report = Report(
            title="Operations and energy",
            subject=subject_of(model, conversion, measurement, source.data.images.name),
            studies=(),
            command=command_line(asked),
            configuration=asked,
            operations=tuple(counts),
            skipped_pictures=source.data.skipped.names,
        )
        _deliver(report, output)


def _constants(prices: str | None) -> EnergyModel:
    """The energies of single operations, with prices of functions such as `silu=5,softmax=20`."""
    named: dict[str, float] = {}
    for part in items(prices, "--function-pj") if prices is not None else ():
        name, equals, price = part.partition("=")
        if not equals or not name.strip():
            raise WrongUsage(f"--function-pj {prices}: give NAME=PJ, such as silu=5,softmax=20")
        named[name.strip()] = number(price, f"--function-pj {prices}")
    try:
        return replace(HOROWITZ_45NM, function_pj=named)
    except ValueError as error:
        raise WrongUsage(f"--function-pj {prices}: {error}") from None


def _tell_unused(prices: Mapping[str, float], counted: Sequence[Operations]) -> None:
    """Name the prices that no neuron asks for, such as those of a mistyped name."""
    totals = [one.total for one in counted]
    computed = {name for total in totals for name in (*total.snn.functions, *total.ann.functions)}
    if unused := sorted(prices.keys() - computed):
        those = ", ".join(sorted(computed)) or "none"
        print_note(f"--function-pj: no use for {', '.join(unused)}; functions here: {those}")


def _deliver(report: Report, output: OutputOptions) -> None:
    """Write the folder if there is one, then print."""
    document, asked = results_of(report), report.configuration
    files = {
        "config.json": to_json(asked),
        "operations.csv": operations_csv(report.operations),
        "results.json": to_json(without_times(document)),
        "timing.json": to_json(times_of(document)),
    }
    write_files(output.output, files)
    if output.output is not None:
        discard_cells(output.output)
    if output.json:
        print_json(without_times(document))
    else:
        measured = f"{asked['model']} on {asked[DATASET]}"
        tables = [f"{measured}, {one}" for one in report.operations]
        print_text(
            "\n\n".join([*tables, "for one sample, the mean", code_table(report.operations)])
        )
    if output.output is not None:
        print_note(f"written: {output.output}/ with {', '.join(files)}")
