"""Source networks: small architectures to train, and loading of anybody's model by name."""

from __future__ import annotations

from spikewright.models.architectures import ARCHITECTURES
from spikewright.models.cifar_resnet import CifarResNet, digits_resnet, resnet18, resnet20
from spikewright.models.cifar_vgg import CifarVGG, vgg16
from spikewright.models.compact_transformer import CompactTransformer, cct6
from spikewright.models.detectors import before_boxes
from spikewright.models.digits_cnn import DigitsCNN, digits_cnn
from spikewright.models.events_cnn import EventsCNN, events_cnn
from spikewright.models.weights import load_weights

__all__ = [
    "ARCHITECTURES",
    "CifarResNet",
    "CifarVGG",
    "CompactTransformer",
    "DigitsCNN",
    "EventsCNN",
    "before_boxes",
    "cct6",
    "digits_cnn",
    "digits_resnet",
    "events_cnn",
    "load_weights",
    "resnet18",
    "resnet20",
    "vgg16",
]
