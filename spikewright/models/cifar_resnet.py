"""The residual network for CIFAR of He et al. (2015), section 4.2, with option-A shortcuts."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
BLOCKS = 3


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters.

    `act(bn2(conv2(act(bn1(conv1(x))))) + shortcut(x))`. Where the block halves the image and
    widens the channels, the shortcut keeps every second pixel and pads zero channels, half of
    them on each side (option A of the paper).

    Args:
        inputs: channels that enter.
        outputs: channels that leave, at least `inputs`.
        stride: 1, or 2 to halve the image.
        activation: makes one activation module; called once for each of the two activations.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.act1 = activation()
        self.conv2 = _conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.act2 = activation()
        self.stride = stride
        self.added_channels = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.act2(y + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and self.added_channels == 0:
            return x
        before = self.added_channels // 2
        subsampled = x[:, :, :: self.stride, :: self.stride]
        return F.pad(subsampled, (0, 0, 0, 0, before, self.added_channels - before))


class CifarResNet(nn.Module):
    """A 3x3 convolution, three stages of basic blocks, a global average, a linear layer.

    Args:
        num_classes: size of the output.
        activation: makes one activation module; every site gets its own.
    """

    def __init__(self, num_classes: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv1 = _conv3x3(3, WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.act1 = activation()
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], 1, activation)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], 2, activation)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], 2, activation)
        self.linear = nn.Linear(WIDTHS[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, 3, H, W] (H = W = 32 in the paper) to logits [B, num_classes]."""
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


def _stage(
    inputs: int, outputs: int, stride: int, activation: Callable[[], nn.Module]
) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride, activation)
    rest = [BasicBlock(outputs, outputs, 1, activation) for _ in range(BLOCKS - 1)]
    return nn.Sequential(first, *rest)


def resnet20(num_classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU) -> CifarResNet:
    """Make the ResNet-20 for CIFAR: 0.27 M parameters, 19 activations.

    Parameters are named `conv1`, `bn1`, `layer{1,2,3}.{0,1,2}.{conv1,bn1,conv2,bn2}` and
    `linear`, as in the checkpoints that are published for it. Weights start random, from
    torch's generator: seed it with `spikewright.training.seeded`.

    Args:
        num_classes: size of the output, at least 1.
        activation: makes one activation module without arguments.

    Returns:
        The network, in training mode.

    Reference:
        He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015, section 4.2.
    """
    return CifarResNet(num_classes, activation)
