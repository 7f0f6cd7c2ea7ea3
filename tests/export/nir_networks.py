"""Networks for the tests of NIR: on a binary grid, where every sum is exact, and a trained one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.neurons import Neuron
from tests.builders import wired

STEPS = 8


def on_grid(model: nn.Module, unit: float = 1 / 16, largest: int = 6, seed: int = 0) -> nn.Module:
    """A model whose weights and biases are small multiples of a unit, so that ties are common."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                drawn = torch.randint(-largest, largest + 1, parameter.shape, generator=generator)
                parameter.copy_(drawn * unit)
    return model


def qcfs(threshold: float) -> sw.QCFS:
    return sw.QCFS(levels=4, threshold=threshold)


def residual_net() -> nn.Module:
    """Two 3x3 convolutions, an average pool, a residual addition, a linear layer on 1 x 8 x 8."""
    return wired(
        lambda m, x: m.l(m.q3(m.c(m.q2(m.b(y := m.p(m.q1(m.a(x)))))) + y).flatten(1)),
        a=nn.Conv2d(1, 4, 3, padding=1),
        q1=qcfs(1.0),
        p=nn.AvgPool2d(2),
        b=nn.Conv2d(4, 4, 3, padding=1),
        q2=qcfs(0.5),
        c=nn.Conv2d(4, 4, 3, padding=1, bias=False),
        q3=qcfs(2.0),
        l=nn.Linear(64, 10),
    )


def digits(number: int = 40) -> Tensor:
    """Test images of the digits, `[number, 1, 8, 8]`, pixels that are multiples of 1/16."""
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    from spikewright.data import open_dataset

    test = open_dataset("digits").test
    return torch.stack([test[i][0] for i in range(number)])


@cache
def grid_network(dtype: torch.dtype = torch.float32) -> sw.SpikingNetwork:
    """`residual_net` on a grid, converted; its thresholds are powers of 2."""
    return converted_on_grid(residual_net(), dtype)


def converted_on_grid(model: nn.Module, dtype: torch.dtype = torch.float32) -> sw.SpikingNetwork:
    """A model brought on the grid and converted, with nothing that leads off the grid."""
    return sw.convert(
        on_grid(model).to(dtype),
        digits(20).to(dtype),
        neuron=sw.IntegrateFire(),
        threshold=sw.Learned(),
        steps=STEPS,
        correction=None,
    )


@cache
def trained_network() -> sw.SpikingNetwork:
    """The digits network of the zoo, bias corrected, float32."""
    pytest.importorskip("sklearn", reason="needs the extra 'digits'")
    from spikewright.data import open_dataset
    from spikewright.runs import load_model

    train = open_dataset("digits").train
    calibration = torch.stack([train[i][0] for i in range(128)])
    return sw.convert(
        load_model("zoo:digits-qcfs8"),
        calibration,
        neuron=sw.IntegrateFire(),
        threshold=sw.Learned(),
        steps=STEPS,
        correction=sw.calibration.InputMeans(),
    )


def small(
    wire: Callable[[Any, Tensor], Any],
    shape: tuple[int, ...] = (3, 6, 6),
    neuron: Neuron | None = None,
    **modules: nn.Module,
) -> tuple[sw.SpikingNetwork, Tensor]:
    """A float64 network of a few modules, converted at T = 4, and images."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, *shape, dtype=torch.float64, generator=generator)
    model = wired(wire, **modules)
    return sw.convert(model, images, neuron=neuron or sw.IntegrateFire(), steps=4), images
