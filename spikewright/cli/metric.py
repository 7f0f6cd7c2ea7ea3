"""The metric that --metric names."""

from __future__ import annotations

from typing import Annotated

import typer

from spikewright.cli.failures import WrongUsage
from spikewright.measure import Metric
from spikewright.runs.names import imported

MetricName = Annotated[str | None, typer.Option(metavar="MODULE:FUNCTION")]


def metric_of(spec: str | None) -> Metric | None:
    """The metric of a name; None where none is named.

    Raises:
        WrongUsage: when it is not of the form package.module:function.
        ModelError: when there is no such function; importing its module runs it.
    """
    if spec is None:
        return None
    module, _, name = spec.partition(":")
    if not module or not name:
        raise WrongUsage(
            f"--metric {spec}: name a function of (output, labels) as package.module:function"
        )
    return Metric.of(imported(module, name))
