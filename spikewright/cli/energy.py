"""What `energy` does: convert, count operations with every neuron at every T, print and write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright.analysis import Operations, emission_table, operations, operations_csv
from spikewright.cli.console import Progress, errors, print_json, results, to_json
from spikewright.cli.measure import Task
from spikewright.cli.options import OutputOptions
from spikewright.cli.output import write_files
from spikewright.cli.record import configuration_of
from spikewright.neurons import Neuron


def run_energy(
    task: Task, neurons: Mapping[str, Neuron], asked: Mapping[str, Any], advance: Progress
) -> tuple[dict[str, Any], list[Operations]]:
    """The configuration, and one result for every neuron and T.

    Args:
        task: the options.
        neurons: by label.
        asked: the command's own options, as written.
        advance: told how far it is.
    """
    source, data = task.open()
    found: list[Operations] = []
    done, total = 0, len(neurons) * len(task.steps)
    for name, neuron in neurons.items():
        advance(done, total, f"converting to {name}")
        network = source.convert(neuron, task.steps, task.conversion)
        for steps in task.steps:
            advance(done, total, f"{name}, T = {steps}")
            found.append(operations(network, data, steps, seed=task.conversion.seed))
            done += 1
    return configuration_of("energy", task.groups, **asked), found


def deliver(configuration: Mapping[str, Any], found: list[Operations], to: OutputOptions) -> None:
    """Write the folder if there is one, then print."""
    document = {"configuration": configuration, "networks": [one.to_dict() for one in found]}
    files = {
        "config.json": to_json(configuration),
        "operations.csv": operations_csv(found),
        "operations.json": to_json(document),
    }
    write_files(to.output, files)
    if to.json:
        print_json(document)
    else:
        text = [*(str(one) for one in found), "for one sample, the mean", emission_table(found)]
        results().print("\n\n".join(text), markup=False, soft_wrap=True, highlight=False)
    if to.output is not None:
        told = f"written: {to.output}/ with {', '.join(files)}"
        errors().print(told, markup=False, highlight=False)
