"""`spikewright export`: a saved network in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.console import results
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import SavedNetwork
from spikewright.cli.parse import MAXIMUM_STEPS
from spikewright.export.targets import TARGETS


def export(
    file: SavedNetwork,
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT", help=f"The format: {' or '.join(TARGETS)}.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "--out",
            metavar="PATH",
            help="The file to write; an older one there is replaced.",
            show_default=False,
        ),
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAXIMUM_STEPS,
            metavar="T",
            help="Time steps to export for. Default: the first that it was converted for.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export a saved network to NIR or ONNX.

    A network that the format cannot express is refused with the reason, operation by operation:
    nothing is exported that would run as something else.
    """
    from spikewright.artefact import describe
    from spikewright.export.targets import exporter
    from spikewright.network import load

    if to not in TARGETS:
        raise WrongUsage(f"--to {to}: no such format; there are {', '.join(TARGETS)}")
    network, description = load(file), describe(file)
    steps = steps or network.steps
    summary = exporter(to)(network, output, steps, description.sha256)
    results().print(summary, markup=False, soft_wrap=True)
    if steps not in network.designed_steps:
        results().print(
            f"T = {steps} was not converted for: its thresholds come from the same statistics, "
            "without bias correction",
            soft_wrap=True,
        )
