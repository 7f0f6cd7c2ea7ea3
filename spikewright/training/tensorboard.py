"""The log of a run for TensorBoard, beside its own `metrics.jsonl`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spikewright.extras import require_extra
from spikewright.runs.metrics import EpochMetrics

FOLDER = "tensorboard"
SCALARS: dict[str, Callable[[EpochMetrics], float]] = {
    "loss/training": lambda metrics: metrics.training_loss,
    "loss/validation": lambda metrics: metrics.validation_loss,
    "accuracy/training": lambda metrics: metrics.training_accuracy,
    "accuracy/validation": lambda metrics: metrics.validation_accuracy,
    "learning_rate": lambda metrics: metrics.learning_rate,
    "seconds": lambda metrics: metrics.seconds,
}


class TensorBoardLog:
    """Writes the metrics of epochs as scalars, by epoch, anew from the first.

    Args:
        run: the folder of the run; the log is in `tensorboard/` below it.
        history: the epochs that an earlier try has done; whatever it logged is taken back.

    Raises:
        MissingExtra: if TensorBoard is not installed.
    """

    def __init__(self, run: Path, history: Sequence[EpochMetrics]) -> None:
        require_extra("tensorboard", "train", "the TensorBoard log")
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer: Any = SummaryWriter(str(run / FOLDER), purge_step=1)
        for metrics in history:
            self.write(metrics)

    def write(self, metrics: EpochMetrics) -> None:
        """Log one epoch; it is on disk when this returns."""
        for name, value_of in SCALARS.items():
            self._writer.add_scalar(name, value_of(metrics), metrics.epoch)
        self._writer.flush()

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
