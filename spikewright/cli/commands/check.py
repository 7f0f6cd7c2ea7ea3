"""`spikewright check`: does a model convert?"""

from __future__ import annotations

from typing import Annotated

import typer

from spikewright.cli.console import print_json, results
from spikewright.cli.failures import ExitCode
from spikewright.cli.options import ModelOptions


def check(
    model: ModelOptions,
    input_shape: Annotated[
        str | None,
        typer.Option(
            metavar="C,H,W",
            help="Shape of one sample. Default: 3,224,224; of a .pt2 file, its own.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
    ] = False,
) -> None:
    """Say whether MODEL converts: every operation with its class, every neuron site.

    It needs no data. When the model does not convert, all operations in the way are listed with
    their module, source line and what to do, and the exit code is 3.
    """
    from spikewright.cli.check import as_document, as_text, inspected, verdict
    from spikewright.cli.parse import shape_of
    from spikewright.cli.source import open_model

    shape = None if input_shape is None else shape_of(input_shape)
    found, used = inspected(open_model(model), shape)
    if json:
        print_json(as_document(model.model, used, found))
    else:
        results().print(as_text(model.model, used, found), markup=False, soft_wrap=True)
    if verdict(found) is not None:
        raise typer.Exit(ExitCode.NOT_CONVERTIBLE)
