"""Networks of spiking neurons as functions with gradients: trainable, with losses as objects."""

from spikewright.finetuning.answer import Answer, ann_answer
from spikewright.finetuning.losses import (
    CrossEntropy,
    Distillation,
    Loss,
    RelativeError,
    Spikes,
    Target,
    Weighted,
)
from spikewright.finetuning.representation import Surrogate, representation
from spikewright.finetuning.residual_noise import quantised_answer, residual_noise
from spikewright.finetuning.trainable import TrainableNetwork

__all__ = [
    "Answer",
    "CrossEntropy",
    "Distillation",
    "Loss",
    "RelativeError",
    "Spikes",
    "Surrogate",
    "Target",
    "TrainableNetwork",
    "Weighted",
    "ann_answer",
    "quantised_answer",
    "representation",
    "residual_noise",
]
