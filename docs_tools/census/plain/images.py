"""Networks that take images and classify them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from docs_tools.census.building import Build
from docs_tools.census.plain.made import made, sequential


class MnistExample(nn.Module):
    """PyTorch's example of MNIST; log_softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = torch.flatten(self.dropout1(F.max_pool2d(x, 2)), 1)
        return F.log_softmax(self.fc2(self.dropout2(F.relu(self.fc1(x)))), dim=1)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.padding = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.padding:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(x + y)


class ResNet20(nn.Module):
    """He et al. 2015, for CIFAR; shortcuts of option A."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16)
        blocks, width = [], 16
        for outputs in (16, 16, 16, 32, 32, 32, 64, 64, 64):
            blocks.append(_Block(width, outputs, outputs // width))
            width = outputs
        self.blocks, self.linear = nn.Sequential(*blocks), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.linear(F.avg_pool2d(x, x.size(3)).view(x.size(0), -1))


class SqueezeExcite(nn.Module):
    """A gate for every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1),
            nn.ReLU(),
            nn.Conv2d(channels // 4, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class Cbam(nn.Module):
    """A gate for every channel and one for every place (Woo et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.mlp = nn.Sequential(
            nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels)
        )
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        x = x * gate[:, :, None, None]
        places = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
        return x * torch.sigmoid(self.conv(places))


class Mixer(nn.Module):
    """An MLP-mixer (Tolstikhin et al. 2021)."""

    class Layer(nn.Module):
        """Mixes the patches, then the channels."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
            self.patches = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
            self.channels = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.patches(self.norm1(x).transpose(1, 2)).transpose(1, 2)
            return x + self.channels(self.norm2(x))

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 8, 8)
        self.layers = nn.Sequential(self.Layer(), self.Layer())
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.layers(x)).mean(1))


class SpatialTransformer(nn.Module):
    """Of PyTorch's tutorial: the network moves its own input."""

    def __init__(self) -> None:
        super().__init__()
        self.where = nn.Sequential(
            nn.Conv2d(1, 8, 7), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(968, 6)
        )
        self.what = nn.Sequential(*_small(1, 10))

    def forward(self, x: Tensor) -> Tensor:
        grid = F.affine_grid(self.where(x).view(-1, 2, 3), list(x.size()), align_corners=False)
        return self.what(F.grid_sample(x, grid, align_corners=False))


class Capsules(nn.Module):
    """Two routings by agreement (Sabour et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.primary = nn.Conv2d(1, 16, 5), nn.Conv2d(16, 16, 5, 2)
        self.weight = nn.Parameter(torch.randn(4, 64, 8, 4) * 0.1)

    @staticmethod
    def squash(s: Tensor) -> Tensor:
        """A vector's direction, and a length below 1."""
        square = (s**2).sum(-1, keepdim=True)
        return square / (1 + square) * s / (square.sqrt() + 1e-8)

    def forward(self, x: Tensor) -> Tensor:
        u = self.primary(F.relu(self.conv(x))).reshape(x.size(0), -1, 4)[:, :64]
        votes = torch.einsum("bni,knio->bkno", F.pad(self.squash(u), (0, 4)), self.weight)
        logits = torch.zeros(x.size(0), 4, 64, 1)
        v = votes
        for _ in range(2):
            v = self.squash((torch.softmax(logits, 1) * votes).sum(2, keepdim=True))
            logits = logits + (votes * v).sum(-1, keepdim=True)
        return v.squeeze(2).norm(dim=-1)


class DuelingDqn(nn.Module):
    """Values and advantages of actions from four frames of a game."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(4, 16, 8, 4),
            nn.ReLU(),
            nn.Conv2d(16, 16, 4, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1296, 32),
            nn.ReLU(),
        )
        self.value, self.advantage = nn.Linear(32, 1), nn.Linear(32, 6)

    def forward(self, x: Tensor) -> Tensor:
        h = self.features(x / 255.0)
        a = self.advantage(h)
        return self.value(h) + a - a.mean(1, keepdim=True)


class NormalisingInside(nn.Module):
    """Clips and normalises its input."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.4, 0.4]).view(1, 3, 1, 1))
        self.net = nn.Sequential(*_small(3, 5, norm=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x.clamp(0, 1) - self.mean) / 0.25)


def _small(channels: int, classes: int, norm: bool = False) -> list[nn.Module]:
    between: list[nn.Module] = [nn.BatchNorm2d(8)] if norm else []
    ends = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)]
    return [nn.Conv2d(channels, 8, 3), *between, *ends]


def _lenet() -> list[nn.Module]:
    layers: list[Any] = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    layers += [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return layers


def _gated(block: Callable[[int], nn.Module]) -> list[nn.Module]:
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), block(16)]
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]


def _mlp() -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2)]
    return [*layers, nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]


def _global_max() -> list[nn.Module]:
    return [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 3)]


NETWORKS: dict[str, Build] = {
    "MLP": sequential(_mlp, 1, 28, 28),
    "LeNet": sequential(_lenet, 1, 28, 28),
    "MNIST example (log_softmax)": made(MnistExample, 1, 28, 28),
    "ResNet-20, option A": made(ResNet20, 3, 32, 32),
    "CNN, squeeze-and-excitation": sequential(lambda: _gated(SqueezeExcite), 3, 16, 16),
    "CNN, CBAM": sequential(lambda: _gated(Cbam), 3, 16, 16),
    "MLP-mixer": made(Mixer, 3, 32, 32),
    "spatial transformer": made(SpatialTransformer, 1, 28, 28),
    "capsules": made(Capsules, 1, 28, 28),
    "dueling DQN": made(DuelingDqn, 4, 84, 84),
    "CNN that normalises inside": made(NormalisingInside, 3, 16, 16),
    "CNN, adaptive max pool": sequential(_global_max, 3, 16, 16),
}
