"""Residual networks: ResNet-20 of He et al. (2015), ResNet-18 with a 3x3 stem, one for digits."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
BLOCKS = 3
RESNET18_WIDTHS = (64, 128, 256, 512)
RESNET18_BLOCKS = 2
DIGITS_WIDTHS = (12,)
DIGITS_BLOCKS = 9


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    `act(bn2(conv2(act(bn1(conv1(x))))) + shortcut(x))`. Where the block halves the image and
    widens the channels, the shortcut keeps every second pixel and pads zero channels, half of
    them on each side (option A of the paper), or projects by a 1x1 convolution with batch norm
    (option B).

    Args:
        inputs: the number of channels that enter.
        outputs: the number of channels that leave, at least `inputs`.
        stride: the stride, 1, or 2 to halve the image.
        activation: makes one activation module; called once for each of the two activations.
        projection: whether a shortcut that changes shape is option B.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        activation: Callable[[], nn.Module],
        projection: bool = False,
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
        self.shortcut: nn.Module | None = None
        if projection and (stride > 1 or outputs > inputs):
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.act2(y + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.shortcut is not None:
            return self.shortcut(x)
        if self.stride == 1 and self.added_channels == 0:
            return x
        before = self.added_channels // 2
        subsampled = x[:, :, :: self.stride, :: self.stride]
        return F.pad(subsampled, (0, 0, 0, 0, before, self.added_channels - before))


class CifarResNet(nn.Module):
    """A 3x3 convolution, stages of basic blocks (`layer1`, `layer2`, ...), a mean, a linear layer.

    Every stage but the first halves the image.

    Args:
        num_classes: the number of logits.
        activation: makes one activation module; every site gets its own.
        widths: the number of channels of each stage.
        blocks: the number of blocks in every stage.
        projection: whether shortcuts that change shape are 1x1 convolutions; see `BasicBlock`.
        channels: those of the images.
    """

    def __init__(
        self,
        num_classes: int,
        activation: Callable[[], nn.Module],
        widths: tuple[int, ...] = WIDTHS,
        blocks: int = BLOCKS,
        projection: bool = False,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.act1 = activation()
        self._stages = tuple(f"layer{number}" for number in range(1, len(widths) + 1))
        inputs = widths[0]
        for number, (name, width) in enumerate(zip(self._stages, widths, strict=True)):
            stage: list[nn.Module] = []
            for block in range(blocks):
                stride = 2 if number > 0 and block == 0 else 1
                stage.append(BasicBlock(inputs, width, stride, activation, projection))
                inputs = width
            self.add_module(name, nn.Sequential(*stage))
        self.linear = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, W] (3, 32 and 32 in the paper) to logits [B, num_classes]."""
        x = self.act1(self.bn1(self.conv1(x)))
        for name in self._stages:
            x = self.get_submodule(name)(x)
        return self.linear(x.mean(dim=(2, 3)))


def resnet20(num_classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU) -> CifarResNet:
    """Make the ResNet-20 for CIFAR: 0.27 M parameters, 19 activations.

    Parameters are named `conv1`, `bn1`, `layer{1,2,3}.{0,1,2}.{conv1,bn1,conv2,bn2}` and
    `linear`, as in the checkpoints that are published for it. Weights start random, from
    torch's generator: seed it with `spikewright.training.seeded`.

    Args:
        num_classes: the number of logits, at least 1.
        activation: makes one activation module without arguments.

    Returns:
        The network, in training mode.

    Reference:
        He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015, section 4.2.
    """
    return CifarResNet(num_classes, activation)


def resnet18(num_classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU) -> CifarResNet:
    """Make the ResNet-18 for CIFAR: 11.2 M parameters, 17 activations.

    ImageNet's ResNet-18 with a 3x3 convolution of stride 1 in place of the 7x7 one and the max
    pool, as papers on ANN-SNN conversion train it on CIFAR. Parameters are named `conv1`, `bn1`,
    `layer{1,2,3,4}.{0,1}.{conv1,bn1,conv2,bn2}`, `layer{2,3,4}.0.shortcut.{0,1}` and `linear`.

    Args:
        num_classes: the number of logits, at least 1.
        activation: makes one activation module without arguments.

    Returns:
        The network, in training mode.
    """
    return CifarResNet(num_classes, activation, RESNET18_WIDTHS, RESNET18_BLOCKS, projection=True)


def digits_resnet(
    num_classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU
) -> CifarResNet:
    """Make a deep, narrow residual network for the 8 x 8 digits: 24 k parameters, 19 activations.

    As deep as ResNet-20, so that what depth does to spikes is seen, and trained in half a minute.

    Args:
        num_classes: the number of logits, at least 1.
        activation: makes one activation module without arguments.

    Returns:
        The network, in training mode.
    """
    return CifarResNet(num_classes, activation, DIGITS_WIDTHS, DIGITS_BLOCKS, channels=1)
