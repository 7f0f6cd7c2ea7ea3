"""Networks of spiking neurons as functions with gradients: trainable, with losses as objects."""

from spikewright.finetuning.representation import Surrogate, representation
from spikewright.finetuning.trainable import Answer, TrainableNetwork

__all__ = ["Answer", "Surrogate", "TrainableNetwork", "representation"]
