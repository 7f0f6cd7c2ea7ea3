"""A small residual network for the 8 x 8 digits: quick to train, with one of everything."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class DigitsCNN(nn.Module):
    """Three convolutions with batch norm, one residual sum, one average pool, one linear layer.

    Args:
        num_classes: the number of logits.
        activation: makes one activation module; every site gets its own.
        width: the number of channels of every convolution.
    """

    def __init__(
        self, num_classes: int, activation: Callable[[], nn.Module], width: int = 32
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = activation()
        self.pool = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = activation()
        self.conv3 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.act3 = activation()
        self.linear = nn.Linear(width * 4 * 4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, 1, 8, 8] to logits [B, num_classes]."""
        x = self.pool(self.act1(self.bn1(self.conv1(x))))
        y = self.act2(self.bn2(self.conv2(x)))
        y = self.act3(self.bn3(self.conv3(y)) + x)
        return self.linear(y.flatten(1))


def digits_cnn(num_classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU) -> DigitsCNN:
    """Make the network for the digits: 24 k parameters, three activations.

    Weights start random, from torch's generator: seed it with `spikewright.training.seeded`.

    Args:
        num_classes: the number of logits, at least 1.
        activation: makes one activation module without arguments, e.g. `nn.ReLU`; a QCFS twin
            is the same class with another factory.

    Returns:
        The network, in training mode.
    """
    return DigitsCNN(num_classes, activation)
