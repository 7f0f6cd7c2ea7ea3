"""The VGG-16 for CIFAR, with batch norm and average pooling."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
HIDDEN = 4096


class CifarVGG(nn.Module):
    """Stages of 3x3 convolutions with batch norm and an average pool each; three linear layers.

    Args:
        num_classes: the number of logits.
        activation: makes one activation module; every site gets its own.
        stages: the channels of each convolution, stage by stage; a stage halves the image.
        hidden: the width of the two hidden linear layers.
    """

    def __init__(
        self,
        num_classes: int,
        activation: Callable[[], nn.Module],
        stages: tuple[tuple[int, ...], ...] = STAGES,
        hidden: int = HIDDEN,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for widths in stages:
            for width in widths:
                convolution = nn.Conv2d(inputs, width, kernel_size=3, padding=1, bias=False)
                layers += [convolution, nn.BatchNorm2d(width), activation()]
                inputs = width
            layers.append(nn.AvgPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(inputs, hidden),
            activation(),
            nn.Linear(hidden, hidden),
            activation(),
            nn.Linear(hidden, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, 3, 32, 32] to logits [B, num_classes]."""
        return self.classifier(self.features(x).flatten(1))


def vgg16(num_classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU) -> CifarVGG:
    """Make the VGG-16 for CIFAR: 33.6 M parameters, 15 activations.

    Average pools stand where VGG has max pools, and batch norm follows every convolution, as in
    the QCFS paper's networks; there is no dropout.

    Args:
        num_classes: the number of logits, at least 1.
        activation: makes one activation module without arguments.

    Returns:
        The network, in training mode; its weights come from torch's generator.

    Reference:
        Simonyan, Zisserman, "Very Deep Convolutional Networks", 2015, configuration D; Bu et al.,
        ICLR 2022, arXiv 2303.04347.
    """
    return CifarVGG(num_classes, activation)
