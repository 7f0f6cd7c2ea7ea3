"""torchvision: classifiers (one of every family), segmentation, detection, video, flow, int8."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from docs_tools.census.building import Build

CLASSIFIERS = {
    "alexnet": 64,
    "convnext_tiny": 64,
    "densenet121": 64,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "googlenet": 64,
    "inception_v3": 96,
    "maxvit_t": 224,
    "mnasnet0_5": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "resnet18": 64,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64,
    "swin_t": 128,
    "swin_v2_t": 128,
    "vgg11": 64,
    "vgg11_bn": 64,
    "vit_b_32": 224,
    "wide_resnet50_2": 64,
}
"""With the side of their images."""
SEGMENTATION = (
    "deeplabv3_mobilenet_v3_large",
    "deeplabv3_resnet50",
    "fcn_resnet50",
    "lraspp_mobilenet_v3_large",
)
DETECTORS = {
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 320,
    "retinanet_resnet50_fpn": 128,
    "retinanet_resnet50_fpn_v2": 128,
    "fcos_resnet50_fpn": 128,
    "fasterrcnn_resnet50_fpn": 128,
    "fasterrcnn_mobilenet_v3_large_320_fpn": 128,
    "maskrcnn_resnet50_fpn": 128,
    "keypointrcnn_resnet50_fpn": 128,
}
VIDEO = {
    "r3d_18": (8, 56),
    "mc3_18": (8, 56),
    "r2plus1d_18": (8, 56),
    "s3d": (16, 224),
    "mvit_v1_b": (16, 224),
    "mvit_v2_s": (16, 224),
    "swin3d_t": (8, 64),
}
"""With their number of frames and the side."""
QUANTIZED = ("quantized_resnet18", "quantized_mobilenet_v2", "quantized_mobilenet_v3_large")


def builds() -> dict[str, Build]:
    """Every architecture by name."""
    found: dict[str, Build] = {}
    for name, side in CLASSIFIERS.items():
        options = {"googlenet": INCEPTION, "inception_v3": INCEPTION}.get(name, {})
        found[name] = partial(_images, name, side, **options)
    for name in SEGMENTATION:
        found[name] = partial(_images, name, 64, weights_backbone=None)
    for name, side in DETECTORS.items():
        found[name] = partial(_detector, name, side)
    for name, (frames, side) in VIDEO.items():
        found[name] = partial(_video, name, frames, side)
    found["raft_small"] = _flow
    for name in QUANTIZED:
        found[f"{name} (float)"] = partial(_images, name, 64, quantize=False)
    for name in QUANTIZED[:2]:
        found[f"{name} (int8)"] = partial(_images, name, 64, quantize=True)
    return found


INCEPTION = {"aux_logits": False, "init_weights": False}


def _made(name: str, **options: Any) -> nn.Module:
    models = importlib.import_module("torchvision.models")
    return models.get_model(name, weights=None, **options)


def _images(name: str, side: int, **options: Any) -> tuple[nn.Module, tuple[Tensor]]:
    return _made(name, **options), (torch.randn(2, 3, side, side),)


def _detector(name: str, side: int) -> tuple[nn.Module, tuple[list[Tensor]]]:
    """Detectors take a list of images, which may differ in size."""
    images = torch.rand(2, 3, side, side)
    return _made(name, weights_backbone=None), ([images[0], images[1]],)


def _video(name: str, frames: int, side: int) -> tuple[nn.Module, tuple[Tensor]]:
    return _made(name), (torch.randn(2, 3, frames, side, side),)


def _flow() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    first, second = torch.rand(2, 2, 3, 128, 128) * 2 - 1
    return _made("raft_small"), (first, second)
