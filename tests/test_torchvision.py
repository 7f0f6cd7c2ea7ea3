"""T to infinity: torchvision's classifiers, converted, give their own logits; the others refuse.

Random weights, as torchvision sets them when none are asked for; GoogLeNet keeps PyTorch's, since
its own let every activation vanish in float32. Errors are relative to what the image contributes:
the logits minus those of a black image, so that a large last bias cannot hide an error.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch
from torch import nn

import spikewright as sw

torchvision = pytest.importorskip("torchvision")

STEPS = 4096
# Each has what the others lack: residuals; branches; pools that round up; shuffles; depthwise.
# `python -m docs_tools support` converts the other families of torchvision.
CONVERTS = [
    "resnet18",
    "googlenet",
    "squeezenet1_1",
    "shufflenet_v2_x1_0",
    "mnasnet0_5",
    "efficientnet_b0",  # gates: products
    "convnext_tiny",  # layer norms, of channels that stand last
]


def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    if name == "vit of 2 layers":
        return torchvision.models.VisionTransformer(64, 16, 2, 4, 64, 128).eval()
    return torchvision.models.get_model(name, weights=None, **options).eval()


def pictures() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def relative_error(model: nn.Module, snn: sw.SpikingNetwork, x: torch.Tensor) -> float:
    """Error of the logits, relative to what the images contribute to them."""
    with torch.no_grad():
        expected, black = model(x), model(torch.zeros_like(x))
    contributed = (expected - black).norm()
    assert float(contributed) > 1e-5 * float(expected.norm()), "these logits do not see the image"
    return float((snn(x) - expected).norm() / contributed)


@pytest.mark.parametrize("name", CONVERTS)
def test_many_steps_reach_the_classifiers_own_logits(name):
    model, x = classifier(name), pictures()
    snn = sw.convert(model, x, threshold=sw.Maximum(), steps=STEPS, bias_correction=False)
    assert relative_error(model, snn, x) <= 0.01


def test_the_default_strategy_reaches_them_too():
    model, x = classifier("squeezenet1_1"), pictures()
    assert relative_error(model, sw.convert(model, x, steps=STEPS), x) <= 0.01


def test_gates_of_channels_convert():
    """16 inverted residual blocks, each with SiLU and a squeeze-and-excitation gate."""
    model, x = classifier("efficientnet_b0").double(), pictures().double()
    neuron = sw.TwoPhase("nearest", "binary")
    snn = sw.convert(model, x, neuron, sw.Maximum(), steps=16, bias_correction=False)
    assert relative_error(model, snn, x) <= 0.01


REFUSED = {
    # 2 layers; attention moves the batch and folds heads in
    "vit of 2 layers": {
        "aten.transpose.int": 2,
        "aten.view": 8,
        "aten.permute": 2,
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_classifier_outside_the_table_is_refused_with_every_offender(name):
    model, x = classifier(name), pictures()
    with pytest.raises(sw.UnsupportedOperation) as caught:
        sw.convert(model, x)
    message = str(caught.value)
    told: Counter[str] = Counter()
    for operator, number in re.findall(r"^- (\S+), (\d+) times?:", message, re.MULTILINE):
        told[operator] += int(number)
    assert told == REFUSED[name]
    assert message.startswith(f"{told.total()} operations of this model cannot be converted:")
    assert len(re.findall(r"^    in ", message, re.MULTILINE)) == told.total()
