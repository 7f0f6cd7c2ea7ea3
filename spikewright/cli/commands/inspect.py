"""`spikewright inspect`: what a saved network is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikewright.cli.console import print_json, results
from spikewright.cli.options import SavedNetwork

if TYPE_CHECKING:
    from spikewright.artefact import Description
    from spikewright.network import SpikingNetwork


def inspect(
    file: SavedNetwork,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
    ] = False,
) -> None:
    """Show a saved network: where it comes from, its sites, thresholds and latency.

    The file is checked as a whole; nothing of it is executed.
    """
    from spikewright.artefact import describe
    from spikewright.network import load

    network, said = load(file), describe(file)
    if json:
        print_json(as_document(network, said))
    else:
        results().print(as_text(network, said), markup=False, soft_wrap=True)


def as_document(network: SpikingNetwork, said: Description) -> dict[str, Any]:
    """The same as `as_text`, as plain JSON values."""
    from spikewright.cli.summary import as_document as network_document

    return {
        "sha256": said.sha256,
        "versions": dict(said.versions),
        "notes": dict(said.notes),
        "input_shape": list(network.graph.input_shape),
        "precision": str(network.precision),
        "threshold": repr(network.calibration.threshold),
        **network_document(network, network.designed_steps),
    }


def as_text(network: SpikingNetwork, said: Description) -> str:
    """Where it comes from, then the summary of every designed T."""
    versions = ", ".join(f"{name} {version}" for name, version in said.versions.items())
    lines = [
        f"sha256: {said.sha256}",
        f"saved by: {versions}",
        f"input: {' x '.join(map(str, network.graph.input_shape))}",
        f"precision: {network.precision}",
        f"thresholds: {network.calibration.threshold!r}",
        *(f"note, {name}: {value}" for name, value in said.notes.items() if value is not None),
    ]
    summaries = [network.summary(steps) for steps in network.designed_steps]
    return "\n\n".join(["\n".join(lines), *summaries])
