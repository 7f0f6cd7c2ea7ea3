"""T to infinity: torchvision's classifiers, converted, give their own logits; the others refuse.

Random weights, as torchvision sets them when none are asked for. Errors are relative to what the
image contributes: the logits minus those of a black image, so that a large last bias cannot hide an
error.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
from torch import nn

import spikewright as sw

torchvision = pytest.importorskip("torchvision")
from torchvision.models.convnext import CNBlockConfig  # noqa: E402
from torchvision.models.efficientnet import MBConvConfig  # noqa: E402

STEPS = 4096
# Each has what the others lack: residuals; branches and pools that round up; shuffles.
# `test_gates_of_channels_convert` has depthwise convolutions and gates.
# `python -m docs_tools support` converts one of every family, whole.
CONVERTS = [
    "resnet18",
    "squeezenet1_1",
    "shufflenet of 4 units",
    "convnext of 4 blocks",  # layer norms, of channels that stand last
]


def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "vit of 2 layers":
        vit = torchvision.models.VisionTransformer(32, 8, 2, 4, 64, 128).eval()
        nn.init.normal_(vit.heads[0].weight)  # it starts as zeros
        return vit
    if name == "swin of 4 layers":
        sizes = {"patch_size": [4, 4], "window_size": [4, 4], "num_heads": [2, 4]}
        return torchvision.models.SwinTransformer(embed_dim=16, depths=[2, 2], **sizes).eval()
    if name == "shufflenet of 4 units":
        return torchvision.models.ShuffleNetV2([2, 1, 1], [24, 48, 96, 192, 256]).eval()
    if name == "convnext of 4 blocks":
        sizes = [CNBlockConfig(16, 32, 2), CNBlockConfig(32, 64, 1), CNBlockConfig(64, None, 1)]
        return torchvision.models.ConvNeXt(sizes).eval()
    if name == "efficientnet of 4 blocks":
        blocks = [
            MBConvConfig(1, 3, 1, 16, 8, 1),
            MBConvConfig(4, 3, 2, 8, 16, 2),
            MBConvConfig(4, 5, 2, 16, 24, 1),
        ]
        return torchvision.models.EfficientNet(blocks, dropout=0.2).eval()
    return torchvision.models.get_model(name, weights=None).eval()


def pictures(size: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@lru_cache
def prepared(name: str) -> sw.Prepared:
    """A classifier, captured once for all tests."""
    return sw.prepare(classifier(name), pictures())


def relative_error(model: nn.Module, snn: sw.SpikingNetwork, x: torch.Tensor) -> float:
    """Error of the logits, relative to what the images contribute to them."""
    with torch.no_grad():
        expected, black = model(x), model(torch.zeros_like(x))
    contributed = (expected - black).norm()
    assert float(contributed) > 1e-5 * float(expected.norm()), "these logits do not see the image"
    return float((snn(x) - expected).norm() / contributed)


@pytest.mark.parametrize("name", CONVERTS)
def test_many_steps_reach_the_classifiers_own_logits(name):
    snn = prepared(name).convert(threshold=sw.Maximum(), steps=STEPS, correction=None)
    assert relative_error(classifier(name), snn, pictures()) <= 0.01


def test_the_default_strategy_reaches_them_too():
    snn = prepared("squeezenet1_1").convert(steps=STEPS)
    assert relative_error(classifier("squeezenet1_1"), snn, pictures()) <= 0.01


def test_gates_of_channels_convert():
    """4 inverted residual blocks, each with SiLU and a squeeze-and-excitation gate."""
    model, x = classifier("efficientnet of 4 blocks").double(), pictures().double()
    neuron = sw.TwoPhase("nearest", "binary")
    snn = sw.convert(model, x, neuron, sw.Maximum(), steps=16, correction=None)
    assert relative_error(model, snn, x) <= 0.01


@pytest.mark.parametrize("name", ["vit of 2 layers", "swin of 4 layers"])
def test_transformers_convert(name):
    """Attention, norms of a sample, windows merged with the batch, and constants made for it."""
    model, x = classifier(name).double(), pictures(32).double()
    neuron = sw.TwoPhase("nearest", "binary")
    snn = sw.convert(model, x, neuron, sw.Maximum(), steps=16, correction=None)
    assert relative_error(model, snn, x) <= 0.01
    torch.testing.assert_close(snn(x, engine="steps"), snn(x), rtol=1e-9, atol=1e-9)
