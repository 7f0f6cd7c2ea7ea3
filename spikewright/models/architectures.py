"""The architectures that can be trained by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikewright.models.cifar_resnet import digits_resnet, resnet18, resnet20
from spikewright.models.cifar_vgg import vgg16
from spikewright.models.compact_transformer import cct6
from spikewright.models.digits_cnn import digits_cnn
from spikewright.models.events_cnn import events_cnn

ARCHITECTURES: dict[str, Callable[..., Any]] = {
    "cct6": cct6,
    "digits_cnn": digits_cnn,
    "digits_resnet": digits_resnet,
    "events_cnn": events_cnn,
    "resnet18": resnet18,
    "resnet20": resnet20,
    "vgg16": vgg16,
}
"""Each takes `num_classes` and `activation`, a function that makes one activation module."""
