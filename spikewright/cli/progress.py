"""The progress of a training run, for people who wait."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from spikewright.runs.metrics import EpochMetrics

SECONDS_BETWEEN_LINES = 1.0


class ProgressLine:
    """Progress on stderr: a line an epoch, and on a terminal one that moves.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._before: float | None = None
        self._shown = -SECONDS_BETWEEN_LINES
        self._moving = sys.stderr.isatty()

    def __call__(
        self, epoch: int, epochs: int, done: int, steps: int, metrics: EpochMetrics | None
    ) -> None:
        """Take one call of `spikewright.training.Progress`."""
        now = self._clock()
        finished = epoch - 1 + done / steps
        if self._before is None:
            self._before = finished - 1 / steps if metrics is None else float(epoch - 1)
        left = (now - self._started) / (finished - self._before) * (epochs - finished)
        if metrics is not None:
            sys.stderr.write(("\r\033[K" if self._moving else "") + _epoch_line(metrics, epochs))
            sys.stderr.write(f"  {duration(left)} left\n")
        elif self._moving and now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            line = f"epoch {epoch}/{epochs}  step {done}/{steps}  {duration(left)} left"
            sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()


def _epoch_line(metrics: EpochMetrics, epochs: int) -> str:
    spikes = "" if metrics.spikes is None else f"{metrics.spikes:.3f} spikes a neuron  "
    return (
        f"epoch {metrics.epoch}/{epochs}  loss {metrics.training_loss:.4f}  "
        f"{spikes}training {100 * metrics.training_accuracy:.2f} %  "
        f"validation {100 * metrics.validation_accuracy:.2f} %  {metrics.seconds:.0f} s"
    )


def duration(seconds: float) -> str:
    """A duration in hours and minutes, or minutes and seconds."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s"
