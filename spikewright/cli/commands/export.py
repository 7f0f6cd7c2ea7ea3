"""`spikewright export`: a saved network in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikewright.cli.console import results
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import SavedNetwork


def export(
    file: SavedNetwork,
    to: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="nir, onnx or hardware.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "--out",
            metavar="PATH",
            help="Of the file, or of the folder for hardware; replaced when it exists.",
            show_default=False,
        ),
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="T",
            help="Time steps to export for. Default: the first that it was converted for.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export a saved network to NIR, ONNX or a plain hardware bundle.

    What a format cannot say is refused with the reason, operation by operation: nothing is
    exported that would run as something else.
    """
    from spikewright.interchange import describe, load
    from spikewright.interchange.targets import TARGETS

    if to not in TARGETS:
        raise WrongUsage(f"--to {to}: no such format; there are {', '.join(TARGETS)}")
    network = load(file)
    steps = steps or network.steps
    told = TARGETS[to].load()(network, output, steps, describe(file).sha256)
    results().print(told, markup=False, soft_wrap=True)
    if steps not in network.designed_steps:
        results().print(
            f"T = {steps} was not converted for: its thresholds come from the same statistics, "
            "without bias correction",
            soft_wrap=True,
        )
