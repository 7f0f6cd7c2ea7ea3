"""torchvision's classifiers, one of every family, converted with random weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import evaluate, survey

STEPS = 4096
FAMILIES = {
    "alexnet": "alexnet",
    "convnext": "convnext_tiny",
    "densenet": "densenet121",
    "efficientnet": "efficientnet_b0",
    "efficientnet_v2": "efficientnet_v2_s",
    "googlenet": "googlenet",
    "inception": "inception_v3",
    "maxvit": "maxvit_t",
    "mnasnet": "mnasnet0_5",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3": "mobilenet_v3_small",
    "regnet_x": "regnet_x_400mf",
    "regnet_y": "regnet_y_400mf",
    "resnet": "resnet18",
    "resnet, bottlenecks": "resnet50",
    "shufflenetv2": "shufflenet_v2_x0_5",
    "squeezenet": "squeezenet1_1",
    "swin_transformer": "swin_t",
    "swin_transformer_v2": "swin_v2_t",
    "vgg": "vgg11",
    "vgg, batch norm": "vgg11_bn",
    "vision_transformer": "vit_b_16",
}
"""One member of every family of `torchvision.models`."""

SIZES = {"inception_v3": 96, "vit_b_16": 224, "maxvit_t": 224, "swin_t": 64, "swin_v2_t": 64}
"""Sides of the input where 64 pixels do not do."""
OWN_WEIGHTS = {"googlenet": False, "inception_v3": True}
"""Of these two: whether to take the family's own initialisation, or PyTorch's."""


@dataclass(frozen=True)
class ModelRow:
    """What became of a classifier.

    Attributes:
        name: as `torchvision:NAME`.
        size: side of its input in pixels.
        sites: layers of neurons.
        neurons: in all of them, for one image.
        captured: difference between captured graph and model, relative to the largest logit.
        converted: error of the spiking network's logits at T = `STEPS`, relative to what the
            images contribute to the logits.
        refusals: how often each operator is refused; empty when the model converts.
    """

    name: str
    size: int
    sites: int = 0
    neurons: int = 0
    captured: float | None = None
    converted: float | None = None
    refusals: tuple[tuple[str, int], ...] = ()


def rows() -> Iterator[ModelRow]:
    """Every family's row, in order; takes some minutes."""
    for name in FAMILIES.values():
        yield row(name)


def row(name: str) -> ModelRow:
    """Convert one classifier."""
    torch.manual_seed(0)
    options = (
        {"aux_logits": False, "init_weights": OWN_WEIGHTS[name]} if name in OWN_WEIGHTS else {}
    )
    model = torchvision.models.get_model(name, weights=None, **options).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():  # ViT's head: all answers would be 0
            nn.init.normal_(parameter, std=0.02)
    size = SIZES.get(name, 64)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    found = survey(model, images)
    if found.offenders:
        counted = Counter(offender.operator for offender in found.offenders)
        return ModelRow(name, size, refusals=tuple(counted.most_common()))
    with torch.no_grad():
        expected, black = model(images), model(torch.zeros_like(images))
    (answer,) = evaluate(found.graph, images)
    difference = (answer - expected).abs().max() / expected.abs().max()
    return ModelRow(
        name,
        size,
        sites=len(found.graph.sites),
        neurons=sum(torch.Size(op.shape).numel() for op in found.graph.neurons),
        captured=float(difference),
        converted=_error(model, images, expected, black),
    )


def _error(model: nn.Module, images: Tensor, expected: Tensor, black: Tensor) -> float:
    snn = sw.convert(model, images, threshold=sw.Maximum(), steps=STEPS, correction=None)
    return float((snn(images) - expected).norm() / (expected - black).norm())


def uncovered() -> set[str]:
    """Modules of torchvision's classifiers from which no member is tried."""
    tried = {_module(name) for name in FAMILIES.values()}
    known = torchvision.models.list_models(module=torchvision.models)
    return {_module(name) for name in known} - tried


def _module(name: str) -> str:
    return torchvision.models.get_model_builder(name).__module__
