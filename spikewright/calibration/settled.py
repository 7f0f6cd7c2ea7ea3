"""Which thresholds and which correction a conversion takes, where some of it is left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from spikewright.calibration.auto import STANDARD, Auto
from spikewright.calibration.correction import Correction
from spikewright.calibration.thresholds import Learned, MinError, Threshold
from spikewright.errors import ConversionError
from spikewright.neurons import Neuron

AUTO = Auto()
"""The correction of a conversion that names none."""


def check_configuration(neuron: Any, threshold: Any, correction: Any) -> None:
    """See that these are a neuron, a strategy and a correction, or None.

    Raises:
        ConversionError: where one is something else.
    """
    wanted = {
        "neuron": (neuron, Neuron, "a neuron such as TPP() or IntegrateFire()"),
        "threshold": (threshold, Threshold, "a strategy such as MinError() or Percentile()"),
        "correction": (correction, Correction, "None or a correction such as calibration.Refit()"),
    }
    for name, (value, kind, words) in wanted.items():
        if value is not None and not isinstance(value, kind):
            called = isinstance(value, type) or (name == "neuron" and callable(value))
            raise ConversionError(
                f"{name} must be {words}, got {value!r}" + (": call it" if called else "")
            )


def settled(
    threshold: Threshold | None, correction: Correction | None, learned: Mapping[str, Tensor]
) -> tuple[Threshold, Correction | None]:
    """The strategy to begin with, and the correction.

    Where none is named, the strategy is that of the learned thresholds, or `MinError` where the
    model has none, and `Auto` chooses among its standard ones. A strategy that is named is kept.

    Args:
        threshold: as it is named.
        correction: as it is named.
        learned: thresholds of the model, by site name.
    """
    if isinstance(correction, Auto) and correction.thresholds is None:
        beside = STANDARD if threshold is None else ()
        correction = replace(correction, thresholds=beside)
    if threshold is None:
        threshold = Learned(otherwise=MinError()) if learned else MinError()
    return threshold, correction
