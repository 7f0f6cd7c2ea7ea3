"""A small network for frames of event cameras: two channels, OFF and ON."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

WIDTHS = (32, 64, 64)


class EventsCNN(nn.Module):
    """Three 3x3 convolutions with batch norm and an average pool each, a mean, a linear layer.

    Args:
        num_classes: the number of logits.
        activation: makes one activation module; every site gets its own.
        widths: the number of channels of each convolution.
    """

    def __init__(
        self,
        num_classes: int,
        activation: Callable[[], nn.Module],
        widths: tuple[int, ...] = WIDTHS,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 2
        for width in widths:
            convolution = nn.Conv2d(inputs, width, kernel_size=3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), activation(), nn.AvgPool2d(2)]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, 2, H, W], H and W multiples of 8, to logits [B, num_classes]."""
        return self.linear(self.features(x).mean((2, 3)))


def events_cnn(num_classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU) -> EventsCNN:
    """Make the network for event frames: 57 k parameters, three activations.

    Args:
        num_classes: the number of logits, at least 1.
        activation: makes one activation module without arguments.

    Returns:
        The network, in training mode; its weights come from torch's generator.
    """
    return EventsCNN(num_classes, activation)
