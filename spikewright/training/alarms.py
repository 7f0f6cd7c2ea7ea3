"""Signs that training has gone wrong while its losses are still numbers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from spikewright.activations import MINIMUM_THRESHOLD
from spikewright.runs.metrics import EpochMetrics

RUNAWAY = 100
"""How many times as large a learned threshold becomes that has run away; in training that works
they move by less, and mostly down."""
ROUNDED = 1e-6
"""How far float32 may round the least threshold up, as a part of it."""


def alarms(
    metrics: EpochMetrics, earlier: Sequence[EpochMetrics], began: tuple[float, float] | None
) -> tuple[str, ...]:
    """What an epoch shows that no good training does, for `EpochMetrics.alarms`.

    Args:
        metrics: of the epoch.
        earlier: those of the epochs before it.
        began: the smallest and the largest learned threshold as the epoch began; None without.
    """
    told = list[str]()
    if metrics.thresholds is not None and began is not None:
        low, high = metrics.thresholds
        known = [one.thresholds[1] for one in earlier if one.thresholds is not None]
        least = min([began[1], *known])
        if high > RUNAWAY * least:
            told.append(f"the largest learned threshold is {high:.4g} and was {least:.4g}")
        if low <= MINIMUM_THRESHOLD * (1 + ROUNDED):
            told.append(f"a learned threshold is held at {MINIMUM_THRESHOLD:g}, the least there is")
    best = max(earlier, key=lambda one: one.validation_accuracy, default=metrics)
    if metrics.validation_accuracy < best.validation_accuracy / 2:
        told.append(
            f"the validation accuracy is {100 * metrics.validation_accuracy:.2f} % and was "
            f"{100 * best.validation_accuracy:.2f} % after epoch {best.epoch}"
        )
    return tuple(told)


def warn_of(metrics: EpochMetrics, learning_rate: float) -> None:
    """Warn of what an epoch shows."""
    if metrics.alarms:
        warnings.warn(
            f"epoch {metrics.epoch}: {'; '.join(metrics.alarms)}. Training seems to diverge: lower "
            f"learning_rate={learning_rate:g}, or set clip_gradient",
            stacklevel=3,
        )
