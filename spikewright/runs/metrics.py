"""What a training run tells of one epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1.
        training_loss: mean over the epoch's images, in nats, weights moving.
        training_accuracy: fraction of the augmented images right, weights moving, 0 .. 1.
        validation_accuracy: after the epoch, 0 .. 1.
        validation_loss: mean cross entropy after the epoch, in nats.
        learning_rate: of the epoch's last step.
        thresholds: the smallest and the largest learned threshold, or none of them.
        seconds: wall time of the epoch, validation included.
    """

    epoch: int
    training_loss: float
    training_accuracy: float
    validation_accuracy: float
    validation_loss: float
    learning_rate: float
    thresholds: tuple[float, float] | None
    seconds: float
