"""What `energy` does: convert, count operations with every neuron at every T, print and write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from spikewright.cli.console import Progress, errors, print_json, results, to_json
from spikewright.cli.keeping import discard_progress, keeping
from spikewright.cli.measure import Task
from spikewright.cli.options import OutputOptions
from spikewright.cli.output import times_of, without_times, write_files
from spikewright.cli.record import DATASET
from spikewright.decoding import decoded
from spikewright.measure import Operations, code_table, operations, operations_csv
from spikewright.measure.kept import once
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
) -> tuple[dict[str, Any], list[Operations]]:
    """The configuration, and one result for every neuron and T.

    Args:
        task: the options.
        neurons: by label.
        asked: the command's own options, as written.
        advance: told how far it is.
        folder: where finished work is kept until all is done.
    """
    source, data = task.open()
    configuration = task.configuration("energy", source, asked)
    found: list[Operations] = []
    total = len(neurons) * len(task.steps)
    with keeping(folder, configuration) as kept:
        source.data.skipped.keep_in(kept)
        for name, neuron in neurons.items():
            advance(len(found), total, f"converting to {name}")
            network = source.convert(neuron, task.steps, task.conversion)
            for steps in task.steps:
                advance(len(found), total, f"{name}, T = {steps}")
                count = partial(_counted, network, data, steps, task.conversion.seed)
                what = f"{name}, T = {steps}"
                found.append(decoded(Operations, once(kept, what, count), what))
    source.data.skipped.tell()
    return configuration, found


def _counted(network: SpikingNetwork, data: Iterable[Any], steps: int, seed: int) -> dict[str, Any]:
    """The operations at one T, as plain values."""
    dimensions = len(network.graph.input_shape)
    found = Portions().again(
        lambda batches: operations(network, batches, steps, seed=seed), data, dimensions
    )
    return asdict(found)


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
        discard_progress(to.output)
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
