"""What `energy` does: convert, count operations with every neuron at every T, print and write."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from spikewright.cli.console import Progress, errors, print_json, results, to_json
from spikewright.cli.keeping import discard_cells, keeping
from spikewright.cli.measure import Task
from spikewright.cli.options import OutputOptions
from spikewright.cli.output import times_of, without_times, write_files
from spikewright.cli.record import DATASET
from spikewright.measure import Operations, code_table, operations, operations_csv
from spikewright.measure.cells import Task as Cell
from spikewright.measure.memory import Portions
from spikewright.network import SpikingNetwork
from spikewright.neurons import Neuron
from spikewright.report import FORMAT


def run_energy(
    task: Task,
    neurons: Mapping[str, Neuron],
    asked: Mapping[str, Any],
    advance: Progress,
    *,
    folder: Path | None = None,
    share: str | None = None,
) -> tuple[dict[str, Any], list[Operations]]:
    """The configuration, and one result for every neuron and T.

    Args:
        task: the options.
        neurons: by label.
        asked: the command's own options, as written.
        advance: told how far it is.
        folder: where finished cells are kept until all are done.
        share: which part of the cells this job measures, `R/N`.
    """
    source, data = task.open()
    configuration = task.configuration("energy", source, asked)

    @lru_cache(maxsize=1)
    def network_of(name: str) -> SpikingNetwork:
        return source.convert(neurons[name], task.steps, task.conversion)

    def count(name: str, steps: int) -> Operations:
        network = network_of(name)
        return Portions().again(
            lambda batches: operations(network, batches, steps, seed=task.conversion.seed),
            data,
            len(network.graph.input_shape),
        )

    cells = [
        Cell(f"{name}, T = {steps}", partial(count, name, steps), group=name)
        for name in neurons
        for steps in task.steps
    ]
    with keeping(folder, configuration, share=share) as kept:
        source.data.skipped.keep_in(kept)
        for number, cell in enumerate(kept.measure(cells), start=1):
            advance(number, kept.own(cells), cell.name)
        found = kept.gather([cell.name for cell in cells], Operations)
    source.data.skipped.tell()
    return configuration, found


def deliver(configuration: Mapping[str, Any], found: list[Operations], to: OutputOptions) -> None:
    """Write the folder if there is one, then print."""
    networks = [one.to_dict() for one in found]
    document = {"format": FORMAT, "configuration": configuration, "networks": networks}
    files = {
        "config.json": to_json(configuration),
        "operations.csv": operations_csv(found),
        "operations.json": to_json(without_times(document)),
        "timing.json": to_json(times_of(document)),
    }
    write_files(to.output, files)
    if to.output is not None:
        discard_cells(to.output)
    if to.json:
        print_json(without_times(document))
    else:
        measured = f"{configuration['model']} on {configuration[DATASET]}"
        text = [
            *(f"{measured}, {one}" for one in found),
            "for one sample, the mean",
            code_table(found),
        ]
        results().print("\n\n".join(text), markup=False, soft_wrap=True, highlight=False)
    if to.output is not None:
        told = f"written: {to.output}/ with {', '.join(files)}"
        errors().print(told, markup=False, highlight=False)
