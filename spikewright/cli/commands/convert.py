"""`spikewright convert`: a model in, a spiking network and its summary out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from spikewright.cli.assigned import front_document, front_table
from spikewright.cli.console import print_json, print_text, to_json
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    ModelOptions,
    OutputOptions,
    Steps,
)
from spikewright.cli.output import prepare_folder, write_files
from spikewright.cli.parse import NEURON_HELP, items, neuron_of
from spikewright.cli.record import record_of
from spikewright.cli.source import Source, method_for, open_source
from spikewright.decoding import encoded
from spikewright.measure import CodeAssignment, FewestSteps, assign_codes, fewest_steps
from spikewright.methods import Method
from spikewright.network import SpikingNetwork
from spikewright.neurons import Code, Neuron, TwoPhase, code_of

NETWORK_FILE = "network.safetensors"
MOST_STEPS = 64
"""The largest T that --agreement tries."""


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
    agreement: Annotated[float | None, typer.Option(metavar="SHARE", min=0.01, max=1)] = None,
    codes: Annotated[str | None, typer.Option(metavar="NAME,NAME,...")] = None,
    latency: Annotated[int | None, typer.Option(metavar="N", min=1)] = None,
) -> None:
    """Convert MODEL and show the result: sites, thresholds, operations, latency.

    DIR receives config.json, summary.txt and network.safetensors, the converted network itself
    (see `spikewright inspect`).

    Args:
        steps: The numbers of time steps T; each is a design point of the conversion.
        agreement: T is the smallest, up to 64, at which this share of the calibration images held
            out of the fit is classified as the ANN does, such as 0.99. Where neither a neuron nor
            a method is named, nearest is tried in the binary code and in random order. Takes the
            place of --steps.
        codes: Each layer takes one of these codes, such as binary,first-spike, by what its spikes
            cost on the calibration images: the network is the cheapest one, with the same answers.
        latency: What --codes chooses answers within so many time steps. Default: any number.
    """
    method = method_for(conversion)
    chosen = neuron_of(neuron, method)
    _check_steps(context, agreement)
    coded = _codes(codes, latency, steps)
    prepare_folder(output.output)
    source = open_source(model, data, conversion)
    found: FewestSteps | None = None
    if agreement is not None:
        named = neuron != "own" or conversion.method is not None
        found = _fewest(source, method, agreement, chosen if named else None, conversion)
        chosen, steps = found.neuron, (found.steps,)
    network = source.convert(chosen, steps, conversion)
    front: tuple[CodeAssignment, ...] = ()
    if coded:
        seed = conversion.seed
        front = assign_codes(network, source.calibration, latency, codes=coded, seed=seed)
        network = front[-1].network
    source.data.skipped.report()
    configuration = record_of(
        context,
        source.data.images.name,
        conversion.device,
        source.fingerprints(),
        *(model, data, conversion),
        neuron=neuron,
        steps=steps,
        agreement=agreement,
        codes=codes,
        latency=latency,
    )
    text = "\n\n".join(network.summary(t) for t in steps)
    if found is not None:
        text = f"{_told(found)}\n\n{text}"
    if front:
        text = f"{text}\n\n{front_table(front)}"
    write_files(output.output, {"config.json": to_json(configuration), "summary.txt": text + "\n"})
    if output.output is not None:
        network.save(output.output / NETWORK_FILE, notes={**configuration, **source.data.notes})
    if output.json:
        held_out = (
            {} if found is None else {"held_out": encoded(found) | {"neuron": found.neuron.label}}
        )
        document = network_document(network, steps)
        fronts = {"front": front_document(front)} if front else {}
        print_json({"configuration": configuration, **document, **held_out, **fronts})
    else:
        print_text(text)


def _check_steps(context: typer.Context, agreement: float | None) -> None:
    """Refuse two ways of choosing T at once."""
    named = getattr(context.get_parameter_source("steps"), "name", "") != "DEFAULT"
    if agreement is not None and named:
        raise WrongUsage("--agreement finds T itself: leave --steps out, or leave it out")


def _codes(names: str | None, latency: int | None, steps: Sequence[int]) -> tuple[Code, ...]:
    """The codes that layers may take; none where each keeps its own."""
    if names is None:
        if latency is not None:
            raise WrongUsage("--latency limits what --codes chooses: give --codes too")
        return ()
    if len(steps) > 1:
        raise WrongUsage("--codes chooses for one T: give one number of --steps")
    try:
        return tuple(code_of(name) for name in items(names, "--codes"))
    except ValueError as error:
        raise WrongUsage(f"--codes {names}: {error}") from None


def _fewest(
    source: Source,
    method: Method,
    agreement: float,
    neuron: Neuron | None,
    conversion: ConversionOptions,
) -> FewestSteps:
    """The smallest T that is asked for."""
    settings = (method.threshold, method.correction, MOST_STEPS, conversion.seed)
    neurons = (TwoPhase("nearest", "binary"), TwoPhase("nearest")) if neuron is None else (neuron,)
    return fewest_steps(source.prepared, agreement, neurons, *settings)


def _told(found: FewestSteps) -> str:
    low, high = (f"{100 * end:.1f}" for end in found.interval)
    return (
        f"'{found.neuron.label}' at T = {found.steps} classifies {100 * found.agreement:.1f} % "
        f"({low} to {high}) of {found.samples} images held out as the ANN does"
    )


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
