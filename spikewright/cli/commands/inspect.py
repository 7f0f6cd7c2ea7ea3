"""`spikewright inspect`: what a saved network is."""

from __future__ import annotations

from typing import Any

import torch

from spikewright.artefact import Description, describe
from spikewright.cli.commands.convert import network_document
from spikewright.cli.console import print_json, print_text
from spikewright.cli.options import SavedNetwork
from spikewright.network import Audit, SpikingNetwork, load


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
    """The audit of a network at its design point, on two samples of noise."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, *network.graph.signal.shape, generator=generator)
    return network.audit(noise.to(network.dtype))


def as_document(network: SpikingNetwork, description: Description) -> dict[str, Any]:
    """The same as `as_text`, as plain JSON values."""
    return {
        "sha256": description.sha256,
        "versions": dict(description.versions),
        "notes": dict(description.notes),
        "input_shape": list(network.graph.signal.shape),
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
        f"input: {' x '.join(map(str, network.graph.signal.shape))}",
        f"precision: {network.precision}",
        f"thresholds: {network.calibration.threshold!r}",
        *(f"note, {name}: {value}" for name, value in notes.items()),
    ]
    summaries = [network.summary(steps) for steps in network.designed_steps]
    return "\n\n".join(["\n".join(lines), *summaries])
