from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw

STEPS = (2, 5)


def small_model(seed: int = 0) -> nn.Module:
    """A convolution, a pool and two hidden layers, random but fixed; three sites, 4 classes."""
    last = nn.Linear(10, 4)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 12),
        nn.ReLU(),
        nn.Linear(12, 10),
        nn.ReLU(),
        last,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator) * 0.4)
    model.double().eval()
    with torch.no_grad():  # no class wins everywhere
        last.bias -= model(random_images(64, seed)).mean(0)
    return model


def random_images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 4, 4, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="session")
def model() -> nn.Module:
    return small_model()


@pytest.fixture(scope="session")
def images() -> Tensor:
    return random_images(40, seed=1)


@pytest.fixture(scope="session")
def labels(model: nn.Module, images: Tensor) -> Tensor:
    """What the model says, but wrong for every fifth sample: accuracies are neither 0 nor 1."""
    with torch.no_grad():
        said = model(images).argmax(1)
    return torch.where(torch.arange(len(said)) % 5 == 0, (said + 1) % 4, said)


@pytest.fixture(scope="session")
def integrate_fire(model: nn.Module) -> sw.SpikingNetwork:
    return sw.convert(model, random_images(64, seed=2), sw.IntegrateFire(), steps=STEPS)


@pytest.fixture(scope="session")
def tpp(model: nn.Module) -> sw.SpikingNetwork:
    return sw.convert(model, random_images(64, seed=2), sw.TPP(), steps=STEPS)


@pytest.fixture(scope="session")
def nearest(model: nn.Module) -> sw.SpikingNetwork:
    return sw.convert(model, random_images(64, seed=2), steps=STEPS)
