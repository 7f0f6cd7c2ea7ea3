"""The metrics of one epoch of training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1; 0 is a network before it is fine-tuned.
        training_loss: the mean loss over the epoch's samples, in nats, weights moving.
        training_accuracy: the fraction of the samples right, weights moving, 0 .. 1; of
            images as they were augmented.
        validation_accuracy: the accuracy after the epoch, 0 .. 1.
        validation_loss: the mean cross entropy after the epoch, in nats.
        learning_rate: the learning rate of the epoch's last step.
        thresholds: the smallest and the largest learned threshold; None where there are none.
        seconds: the wall time of the epoch, validation included.
        spikes: that a neuron sent on average in training; None where the loss does not ask for it.
        alarms: what tells that training went wrong, such as thresholds that ran away; mostly none.
    """

    epoch: int
    training_loss: float
    training_accuracy: float
    validation_accuracy: float
    validation_loss: float
    learning_rate: float
    thresholds: tuple[float, float] | None
    seconds: float
    spikes: float | None = None
    alarms: tuple[str, ...] = ()
