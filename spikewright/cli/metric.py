"""The metric that --metric names."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from spikewright.cli.failures import WrongUsage
from spikewright.errors import AnalysisError, SpikewrightError, raised_at
from spikewright.measure import Metric
from spikewright.runs.names import current_directory_on_path, imported

MetricName = Annotated[str | None, typer.Option(metavar="MODULE:FUNCTION")]


def metric_of(spec: str | None) -> Metric | None:
    """The metric of a name; None where none is named.

    What its function raises is an AnalysisError, as the fault is the function's.

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
    metric = Metric.of(imported(module, name))

    def asked(output: Any, labels: Any) -> Any:
        try:
            with current_directory_on_path():
                return metric.function(output, labels)
        except SpikewrightError:
            raise
        except Exception as error:  # whatever the user's own code raises
            raise AnalysisError(
                f"--metric {spec}: the function raises {type(error).__name__}: {error}"
                f"{raised_at(error)}; --debug shows all"
            ) from error

    return replace(metric, function=asked)
