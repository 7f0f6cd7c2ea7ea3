"""`spikewright inspect`: what a saved network is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from spikewright.artefact import Description, describe
from spikewright.cli.commands.convert import network_document
from spikewright.cli.console import print_json, print_text
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import SavedNetwork
from spikewright.graph.inputs import batch_of
from spikewright.network import Audit, SpikingNetwork, load
from spikewright.network.summary import chosen_threshold


def inspect(file: SavedNetwork, audit: bool = False, json: bool = False) -> None:
    """Show a saved network: where it comes from, its sites, thresholds and latency.

    The file is checked as a whole; nothing of it is executed.

    Args:
        audit: The network is run step by step on random input, and what arrives at weights,
            products and maxima is shown: spikes, or something else.
        json: One JSON document is printed on stdout, and nothing else.
    """
    network, description = load(file), describe(file)
    seen = audited(network) if audit else None
    if json:
        document = as_document(network, description)
        print_json(document if seen is None else {**document, "audit": seen.to_dict()})
    else:
        text = as_text(network, description)
        print_text(text if seen is None else f"{text}\n\n{seen}")


def audited(network: SpikingNetwork) -> Audit:
    """The audit of a network at its design point, on two samples of noise.

    Raises:
        WrongUsage: for a network that takes indices or masks, for which noise cannot stand.
    """
    inputs, generator = network.graph.inputs, torch.Generator().manual_seed(0)
    if any(port.dtype is not None for port in inputs):
        raise WrongUsage(
            f"--audit shows a network noise, and this one takes {', '.join(_inputs(network))}: "
            "load it in Python and give network.audit(batch) a batch of yours"
        )
    noise = [torch.randn(2, *port.shape, generator=generator).to(network.dtype) for port in inputs]
    return network.audit(batch_of(noise))


def _inputs(network: SpikingNetwork) -> list[str]:
    """Every input with the shape of one sample, and the dtype of indices and masks."""
    graph = network.graph
    return [
        f"{graph.call.names[number]}: {' x '.join(map(str, port.shape))}"
        + ("" if port.dtype is None else f" {str(port.dtype).removeprefix('torch.')}")
        for number, port in enumerate(graph.inputs)
    ]


def as_document(network: SpikingNetwork, description: Description) -> dict[str, Any]:
    """The same as `as_text`, as plain JSON values; `input_shape` of a network of one signal."""
    graph = network.graph
    shapes = {graph.call.names[n]: list(port.shape) for n, port in enumerate(graph.inputs)}
    return {
        "sha256": description.sha256,
        "versions": dict(description.versions),
        "notes": dict(description.notes),
        **(
            {"input_shape": list(graph.signal.shape)}
            if graph.takes_one_signal
            else {"inputs": shapes}
        ),
        "precision": str(network.precision),
        "threshold": repr(network.calibration.threshold),
        **network_document(network, network.designed_steps),
    }


def as_text(network: SpikingNetwork, description: Description) -> str:
    """The origin of the network, then the summary of every designed T."""
    versions = ", ".join(f"{name} {version}" for name, version in description.versions.items())
    notes = {name: value for name, value in description.notes.items() if value is not None}
    lines = [
        f"sha256: {description.sha256}",
        f"saved by: {versions}",
        *(f"input {told}" for told in _inputs(network)),
        f"precision: {network.precision}",
        *_thresholds(network),
        *(f"note, {name}: {value}" for name, value in notes.items()),
    ]
    summaries = [network.summary(steps) for steps in network.designed_steps]
    return "\n\n".join(["\n".join(lines), *summaries])


def _thresholds(network: SpikingNetwork) -> Iterator[str]:
    """The rule that was chosen for every designed T, where one was, and the rule for any other."""
    for steps in network.designed_steps:
        chosen = chosen_threshold(network.design(steps).held_out)
        if chosen is not None:
            yield f"thresholds at T = {steps}: {chosen}"
    yield f"thresholds at other T: {network.calibration.threshold!r}"
