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
        neuron: one, or a mapping to several by names of sites or patterns, none of them None.
        threshold: the strategy.
        correction: what makes up for errors.

    Raises:
        ConversionError: where one is something else, or a site is named by no string.
    """
    a_neuron = "a neuron such as TPP() or IntegrateFire()"
    wanted: list[tuple[str, Any, Any, str]] = [
        ("threshold", threshold, Threshold | None, A_STRATEGY),
        ("correction", correction, Correction | None, f"None or {A_CORRECTION}"),
    ]
    if isinstance(neuron, Mapping):
        sites: dict[Any, Any] = dict(neuron)  # pyright: ignore[reportUnknownArgumentType]
        for site, one in sites.items():
            if not isinstance(site, str):
                raise ConversionError(
                    "a mapping to neurons is from sites, by name or shell pattern such as "
                    f"'layer1.*' or '*', got {site!r}"
                )
            wanted.append(("neuron", one, Neuron, f"{a_neuron} at '{site}'"))
    else:
        words = f"{a_neuron}, or a mapping from sites to neurons"
        wanted.append(("neuron", neuron, Neuron | None, words))
    for name, value, kinds, words in wanted:
        if not isinstance(value, kinds):
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
