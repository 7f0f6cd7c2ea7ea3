"""`spikewright export`: a saved network in the format of another tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikewright.cli.console import results
from spikewright.cli.failures import WrongUsage
from spikewright.cli.options import DataOptions, MeasurementOptions, SavedNetwork
from spikewright.cli.parse import MAXIMUM_STEPS

if TYPE_CHECKING:
    from spikewright.network import SpikingNetwork

BUNDLE = "Hardware bundle"


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
            max=MAXIMUM_STEPS,
            metavar="T",
            help="Time steps to export for. Default: the first that it was converted for.",
            show_default=False,
        ),
    ] = None,
    input_bits: Annotated[
        int | None,
        typer.Option(
            metavar="BITS",
            help="Of the signed whole numbers that images are given in: 8 or 16. Default: 16.",
            rich_help_panel=BUNDLE,
            show_default=False,
        ),
    ] = None,
    input_fraction: Annotated[
        int | None,
        typer.Option(
            metavar="BITS",
            help="Of these, how many lie behind the point: 0 to 15. Default: 10.",
            rich_help_panel=BUNDLE,
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Measure what accuracy whole numbers cost on the test split of this data, "
            "prepared as FILE says.",
            rich_help_panel=BUNDLE,
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Measure on N images of it, drawn at random, instead of the whole split.",
            rich_help_panel=BUNDLE,
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
    bundled = {
        "--input-bits": input_bits,
        "--input-fraction": input_fraction,
        "--data": data,
        "--limit": limit,
    }
    for option in (name for name, given in bundled.items() if given is not None):
        if "measured_on" not in TARGETS[to].options:
            raise WrongUsage(f"{option} goes with --to hardware: --to {to} has no use for it")
    if limit is not None and data is None:
        raise WrongUsage("--limit says how many images of --data: name the data too")
    network, said = load(file), describe(file)
    steps = steps or network.steps
    options: dict[str, Any] = {}
    if "measured_on" in TARGETS[to].options:
        options = _input_format(input_bits, input_fraction)
        options |= _measured(network, said.notes, data, limit)
    told = TARGETS[to].load()(network, output, steps, said.sha256, **options)
    results().print(told, markup=False, soft_wrap=True)
    if steps not in network.designed_steps:
        results().print(
            f"T = {steps} was not converted for: its thresholds come from the same statistics, "
            "without bias correction",
            soft_wrap=True,
        )


def _input_format(bits: int | None, fraction: int | None) -> dict[str, Any]:
    from spikewright.interchange.hardware import InputFormat

    given = {"bits": bits, "fraction": fraction}
    try:
        made = InputFormat(**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise WrongUsage(f"--input-bits, --input-fraction: {error}") from error
    return {"input_format": made}


def _measured(
    network: SpikingNetwork, notes: Mapping[str, Any], data: str | None, limit: int | None
) -> dict[str, Any]:
    """The data to measure on, and what the bundle says of its images."""
    from spikewright.cli.saved import CLASSES, PREPARATION, open_for

    said = {name: notes[name] for name in (PREPARATION, CLASSES) if name in notes}
    if data is None:
        return {"notes": said}
    opened = open_for(network, notes, DataOptions(data))
    measurement = MeasurementOptions(limit=limit)
    told = f"the test split of {opened.images.name}"
    if limit is not None:
        told = f"{limit} images of {told}"
    return {
        "measured_on": opened.measured(measurement, 0),
        "notes": {**said, "measured on": told},
    }
