"""`spikewright convert`: a model in, a spiking network and its summary out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from spikewright.cli.assigned import (
    fewest_told,
    front_document,
    front_table,
    windows_document,
    windows_table,
)
from spikewright.cli.choice import ChoiceOptions, Chosen, check_choice, chosen_network
from spikewright.cli.console import print_json, print_text, to_json
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    ModelOptions,
    OutputOptions,
    Steps,
)
from spikewright.cli.output import prepare_folder, write_files
from spikewright.cli.parse import NEURON_HELP, neuron_of
from spikewright.cli.record import record_of
from spikewright.cli.source import method_for, open_source
from spikewright.decoding import encoded
from spikewright.network import SpikingNetwork

NETWORK_FILE = "network.safetensors"


def convert(
    context: typer.Context,
    model: ModelOptions,
    data: DataOptions,
    conversion: ConversionOptions,
    choice: ChoiceOptions,
    output: OutputOptions,
    neuron: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"{NEURON_HELP} Default: own, nearest without a method."),
    ] = "own",
    steps: Steps = (16,),
) -> None:
    """Convert MODEL and show the result: sites, thresholds, operations, latency.

    DIR receives config.json, summary.txt and network.safetensors, the converted network itself
    (see `spikewright inspect`).

    Args:
        steps: The numbers of time steps T; each is a design point of the conversion.
    """
    named = neuron_of(neuron, method_for(conversion))
    check_choice(choice, named, steps, context)
    prepare_folder(output.output)
    source = open_source(model, data, conversion, classes=choice.agreement is not None)
    settled = neuron != "own" or conversion.method is not None
    chosen = chosen_network(source, choice, named, steps, conversion, settled=settled)
    source.data.skipped.report()
    configuration = record_of(
        context,
        source.data.images.name,
        conversion.device,
        source.fingerprints(),
        *(model, data, conversion, choice),
        neuron=neuron,
        steps=chosen.steps,
    )
    text = _text(chosen)
    write_files(output.output, {"config.json": to_json(configuration), "summary.txt": text + "\n"})
    if output.output is not None:
        notes = {**configuration, **source.data.notes_of(chosen.network.graph)}
        chosen.network.save(output.output / NETWORK_FILE, notes=notes)
    if output.json:
        print_json({"configuration": configuration, **_document(chosen)})
    else:
        print_text(text)


def _text(chosen: Chosen) -> str:
    """The summary at every T, and what was chosen."""
    parts = [chosen.network.summary(t) for t in chosen.steps]
    if chosen.fewest is not None:
        parts.insert(0, fewest_told(chosen.fewest))
    if chosen.windows:
        parts.append(windows_table(chosen.windows, chosen.network))
    if chosen.codes:
        parts.append(front_table(chosen.codes))
    return "\n\n".join(parts)


def _document(chosen: Chosen) -> dict[str, Any]:
    """The same as JSON."""
    document = network_document(chosen.network, chosen.steps)
    if chosen.fewest is not None:
        document["held_out"] = encoded(chosen.fewest) | {"neuron": chosen.fewest.neuron.label}
    if chosen.windows:
        document["windows"] = windows_document(chosen.windows)
    if chosen.codes:
        document["front"] = front_document(chosen.codes)
    return document


def network_document(network: SpikingNetwork, points: Sequence[int]) -> dict[str, Any]:
    """The sites, and for every T its latency and the span of every site's thresholds, as JSON."""
    sites = [
        {
            "site": op.site.name,
            "neuron": network.neurons[op.site.name].label,
            "neurons": math.prod(op.shape),
        }
        for op in network.graph.neurons
        if op.site is not None
    ]
    return {"sites": sites, "designs": [_design(network, steps) for steps in points]}


def _design(network: SpikingNetwork, steps: int) -> dict[str, Any]:
    design = network.design(steps)
    return {
        "steps": steps,
        "latency": network.latency(steps),
        "bias_corrected": bool(design.corrections),
        "weights_refitted": sum(weight.numel() for weight in design.weights.values()),
        "held_out": {name: float(error) for name, error in design.held_out.items()},
        "expected": {name: float(figure) for name, figure in design.expected.items()},
        "thresholds": {
            site: {
                "channels": len(theta),
                "low": float(theta.min()),
                "median": float(theta.quantile(0.5)),
                "high": float(theta.max()),
            }
            for site, theta in design.thresholds.items()
        },
    }
