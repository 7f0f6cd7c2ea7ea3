"""Source networks: two small architectures, and loading of anybody's model by name."""

from __future__ import annotations

from spikewright.models.cifar_resnet import CifarResNet, resnet20
from spikewright.models.digits_cnn import DigitsCNN, digits_cnn
from spikewright.models.resolve import load_model
from spikewright.models.weights import load_weights

__all__ = ["CifarResNet", "DigitsCNN", "digits_cnn", "load_model", "load_weights", "resnet20"]
