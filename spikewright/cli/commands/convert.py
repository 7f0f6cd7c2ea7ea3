"""`spikewright convert`: a model in, a spiking network and its summary out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikewright.cli.console import print_json, results, to_json
from spikewright.cli.options import (
    NEURON_HELP,
    ConversionOptions,
    DataOptions,
    ModelOptions,
    OutputOptions,
    StepsOption,
)

if TYPE_CHECKING:
    from spikewright.network import SpikingNetwork

NETWORK_FILE = "network.safetensors"


def convert(
    model: ModelOptions,
    data: DataOptions,
    conversion: ConversionOptions,
    output: OutputOptions,
    neuron: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"{NEURON_HELP} Default: own, nearest without a method."),
    ] = "own",
    steps: StepsOption = "16",
) -> None:
    """Convert MODEL and show the result: sites, thresholds, operations, latency.

    DIR receives config.json, summary.txt and network.safetensors, the converted network itself
    (see `spikewright inspect`).
    """
    from spikewright.cli.output import prepare_folder
    from spikewright.cli.parse import neuron_of, steps_of
    from spikewright.cli.record import repeatable
    from spikewright.cli.saved import notes_of
    from spikewright.cli.source import method_for, open_source

    chosen, points = neuron_of(neuron, method_for(conversion)), steps_of(steps)
    prepare_folder(output.output)
    source = open_source(model, data, conversion)
    network = source.convert(chosen, points, conversion)
    source.data.skipped.tell()
    asked = repeatable(
        "convert",
        (model, data, conversion),
        conversion.device,
        source.data.images.name,
        source.fingerprints(),
        neuron=neuron,
        steps=steps,
    )
    _deliver(network, points, asked, notes_of(source.data), output)


def _deliver(
    network: SpikingNetwork,
    points: Sequence[int],
    asked: Mapping[str, Any],
    notes: Mapping[str, Any],
    output: OutputOptions,
) -> None:
    """Write a converted network and its summary where asked for, then print the summary."""
    from spikewright.cli.output import write_files
    from spikewright.cli.summary import as_document as network_document

    text = "\n\n".join(network.summary(t) for t in points)
    write_files(output.output, {"config.json": to_json(asked), "summary.txt": text + "\n"})
    if output.output is not None:
        network.save(output.output / NETWORK_FILE, notes={**asked, **notes})
    if output.json:
        print_json({"configuration": asked, **network_document(network, points)})
    else:
        results().print(text, markup=False, soft_wrap=True)
