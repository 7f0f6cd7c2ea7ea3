"""torchvision: classifiers (one of every family), segmentation, detection, video, flow, int8."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from docs_tools.census.building import Build
from spikewright.models import before_boxes

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


class _Stages(nn.Module):
    """All networks of a detector of two stages, without the choice of boxes between them."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.first, heads = before_boxes(detector), detector.roi_heads
        self.boxes = nn.Sequential(heads.box_head, heads.box_predictor)
        kinds = [k for k in ("mask", "keypoint") if getattr(heads, f"{k}_head", None) is not None]
        parts = [(getattr(heads, f"{k}_head"), getattr(heads, f"{k}_predictor")) for k in kinds]
        self.others = nn.ModuleList([nn.Sequential(*part) for part in parts])

    def forward(self, images: Tensor, regions: Tensor, *more: Tensor) -> Any:
        others = [part(x) for part, x in zip(self.others, more, strict=True)]
        return self.first(images), self.boxes(regions), others


def _detector(name: str, side: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Up to the boxes before non-maximum suppression; of two stages with a region an image."""
    detector: Any = _made(name, weights_backbone=None)
    images = torch.rand(2, 3, side, side)
    if not hasattr(detector, "roi_heads"):
        return before_boxes(detector), (images,)
    stages = _Stages(detector)
    regions = [torch.rand(2, 256, n, n) for n in (7, *[14] * len(stages.others))]
    return stages, (images, *regions)


def _video(name: str, frames: int, side: int) -> tuple[nn.Module, tuple[Tensor]]:
    return _made(name), (torch.randn(2, 3, frames, side, side),)


def _flow() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    first, second = torch.rand(2, 2, 3, 128, 128) * 2 - 1
    return _made("raft_small"), (first, second)
