"""Networks of the workloads that neither this project nor torchvision has in this form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
"""Channels of the 3x3 convolutions of VGG-16; "M" halves the image."""


def vgg16_32(num_classes: int = 10) -> nn.Sequential:
    """VGG-16 with batch norm for 32x32 images: 13 convolutions and one linear layer.

    Reference:
        Simonyan, Zisserman, "Very Deep Convolutional Networks", 2014, configuration D; the
        classifier is the single layer usual for CIFAR.
    """
    layers: list[nn.Module] = []
    channels = 3
    for entry in _VGG16:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, entry, 3, padding=1), nn.BatchNorm2d(entry), nn.ReLU()]
        channels = entry
    return nn.Sequential(*layers, nn.Flatten(1), nn.Linear(channels, num_classes))


def tiny(num_classes: int = 10) -> nn.Sequential:
    """A convolution and a linear layer for 8x8 images; what the tests run."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(4),
        nn.Flatten(1),
        nn.Linear(16, num_classes),
    )


def resnet50() -> nn.Module:
    """ResNet-50 of torchvision, with random weights."""
    from torchvision.models import resnet50 as make  # an extra: only this workload needs it

    return make(weights=None)


def vit_b16() -> nn.Module:
    """ViT-B/16 of torchvision, with random weights."""
    from torchvision.models import vit_b_16 as make  # an extra: only this workload needs it

    return make(weights=None)


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def settle_batch_norm(model: nn.Module, images: Tensor) -> None:
    """Set the running statistics of batch norms to those of `images`, `[B, C, H, W]`.

    With the statistics that they start with, activations of a deep random network grow from
    layer to layer until thresholds and times say nothing about a trained one.
    """
    norms = [m for m in model.modules() if isinstance(m, BATCH_NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
