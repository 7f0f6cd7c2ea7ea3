"""`spikewright export`: a saved network in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikewright.artefact import describe
from spikewright.cli.console import print_text
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import SavedNetwork
from spikewright.cli.parse import MAXIMUM_STEPS
from spikewright.export.targets import TARGETS, exporter
from spikewright.network import load


def export(
    file: SavedNetwork,
    to: Annotated[str, typer.Option(metavar="FORMAT", help=f"The format: {' or '.join(TARGETS)}.")],
    output: Annotated[Path, typer.Option("--output", "--out", metavar="PATH")],
    steps: Annotated[int | None, typer.Option(min=1, max=MAXIMUM_STEPS, metavar="T")] = None,
) -> None:
    """Export a saved network to NIR or ONNX.

    A network that the format cannot express is refused with the reason, operation by operation:
    nothing is exported that would run as something else.

    Args:
        output: The file that is written; one that is there is replaced.
        steps: The number of time steps to export for. Default: the first that the network was
            converted for.
    """
    if to not in TARGETS:
        raise WrongUsage(f"--to {to}: no such format; there are {', '.join(TARGETS)}")
    network, description = load(file), describe(file)
    steps = steps or network.steps
    print_text(exporter(to)(network, output, steps, description.sha256))
    if steps not in network.designed_steps:
        print_text(
            f"T = {steps} was not converted for: its thresholds come from the same statistics, "
            "without bias correction"
        )
