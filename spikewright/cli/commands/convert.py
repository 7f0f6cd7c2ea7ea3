"""`spikewright convert`: a model in, a spiking network and its summary out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

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
from spikewright.network import SpikingNetwork

NETWORK_FILE = "network.safetensors"


def convert(
    context: typer.Context,
    model: ModelOptions,
    data: DataOptions,
    conversion: ConversionOptions,
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
    chosen = neuron_of(neuron, method_for(conversion))
    prepare_folder(output.output)
    source = open_source(model, data, conversion)
    network = source.convert(chosen, steps, conversion)
    source.data.skipped.report()
    configuration = record_of(
        context,
        source.data.images.name,
        conversion.device,
        source.fingerprints(),
        *(model, data, conversion),
        neuron=neuron,
        steps=steps,
    )
    text = "\n\n".join(network.summary(t) for t in steps)
    write_files(output.output, {"config.json": to_json(configuration), "summary.txt": text + "\n"})
    if output.output is not None:
        network.save(output.output / NETWORK_FILE, notes={**configuration, **source.data.notes})
    if output.json:
        print_json({"configuration": configuration, **network_document(network, steps)})
    else:
        print_text(text)


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
        "bias_correction": bool(design.corrections),
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
