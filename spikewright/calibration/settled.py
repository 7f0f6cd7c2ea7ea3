"""Which thresholds and which correction a conversion takes, where some of it is left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from spikewright.calibration.auto import STANDARD, Auto
from spikewright.calibration.correction import A_CORRECTION, Correction
from spikewright.calibration.thresholds import A_STRATEGY, Learned, MinError, Threshold
from spikewright.errors import ConversionError, wrong_kind
from spikewright.neurons import Neuron

AUTO = Auto()
"""The correction of a conversion that names none."""


def check_configuration(neuron: Any, threshold: Any, correction: Any) -> None:
    """See that these are neurons, a strategy and a correction, or None.

    Args:
        neuron: one, or a mapping to several.
        threshold: the strategy.
        correction: what makes up for errors.

    Raises:
        ConversionError: where one is something else.
    """
    neurons = neuron.values() if isinstance(neuron, Mapping) else [neuron]
    a_neuron = "a neuron such as TPP() or IntegrateFire(), or a mapping from sites to neurons"
    wanted = [
        *(("neuron", one, Neuron, a_neuron) for one in neurons),
        ("threshold", threshold, Threshold, A_STRATEGY),
        ("correction", correction, Correction, f"None or {A_CORRECTION}"),
    ]
    for name, value, kind, words in wanted:
        if value is not None and not isinstance(value, kind):
            raise ConversionError(wrong_kind(name, words, value))


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
