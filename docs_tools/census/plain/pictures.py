"""Networks that give pictures, and networks of pictures with something besides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from docs_tools.census.building import Build
from docs_tools.census.plain.made import fed, made, sequential


class UNet(nn.Module):
    """Two levels down and up (Ronneberger et al. 2015)."""

    def __init__(
        self,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        activation: Callable[[], nn.Module] = nn.ReLU,
        transposed: bool = True,
        final: nn.Module | None = None,
    ) -> None:
        super().__init__()

        def double(inputs: int, outputs: int) -> nn.Module:
            first = [nn.Conv2d(inputs, outputs, 3, padding=1), norm(outputs), activation()]
            second = [nn.Conv2d(outputs, outputs, 3, padding=1), norm(outputs), activation()]
            return nn.Sequential(*first, *second)

        def up(inputs: int) -> nn.Module:
            if transposed:
                return nn.ConvTranspose2d(inputs, inputs // 2, 2, 2)
            larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            return nn.Sequential(larger, nn.Conv2d(inputs, inputs // 2, 1))

        self.down1, self.down2, self.middle = double(1, 8), double(8, 16), double(16, 32)
        self.up2, self.up1 = up(32), up(16)
        self.join2, self.join1 = double(32, 16), double(16, 8)
        self.out, self.final = nn.Conv2d(8, 2, 1), final or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        y = self.up2(self.middle(F.max_pool2d(b, 2)))
        high, wide = b.size(2) - y.size(2), b.size(3) - y.size(3)
        y = F.pad(y, [wide // 2, wide - wide // 2, high // 2, high - high // 2])
        y = self.up1(self.join2(torch.cat([b, y], 1)))
        return self.final(self.out(self.join1(torch.cat([a, y], 1))))


class Autoencoder(nn.Module):
    """Through 16 numbers and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 784), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x.view(-1, 784)))


class VariationalAutoencoder(nn.Module):
    """Draws from the distribution that it encodes; three outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(64, 8), nn.Linear(64, 8)
        self.decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 784), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        drawn = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        return self.decoder(drawn), mean, log_variance


class SuperResolution(nn.Module):
    """Four pixels from one (ESPCN, Shi et al. 2016)."""

    def __init__(self, activation: Callable[[], nn.Module], residual: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2),
            activation(),
            nn.Conv2d(16, 16, 3, padding=1),
            activation(),
            nn.Conv2d(16, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        if not self.residual:
            return y.clamp(0, 1)
        return y + F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)


class DnCnn(nn.Module):
    """Subtracts the noise that it finds (Zhang et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()]
        second = [nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
        self.net = nn.Sequential(*first, *second, nn.Conv2d(16, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.net(x)


class Siamese(nn.Module):
    """Compares two images."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(392, 16)
        )
        self.out = nn.Linear(16, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.out(torch.abs(self.features(a) - self.features(b)))


class ImageAndNumbers(nn.Module):
    """An image and four numbers about it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.out = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, image: Tensor, numbers: Tensor) -> Tensor:
        return self.out(torch.cat([self.features(image), numbers], 1))


class Film(nn.Module):
    """A condition scales and shifts every channel (Perez et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)
        self.condition = nn.Linear(4, 16)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, 1)
        return self.out(F.relu(self.conv(x) * scale + shift).mean((2, 3)))


def _generator() -> list[nn.Module]:
    layers: list[nn.Module] = [nn.ConvTranspose2d(16, 32, 4, 1, 0, bias=False)]
    layers += [nn.BatchNorm2d(32), nn.ReLU(True)]
    layers += [nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True)]
    return [*layers, nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False), nn.Tanh()]


def _discriminator() -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    layers += [nn.Conv2d(16, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.LeakyReLU(0.2, True)]
    return [*layers, nn.Conv2d(32, 1, 4), nn.Sigmoid()]


def _conv_autoencoder() -> list[nn.Module]:
    down = [nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
    up = [nn.ConvTranspose2d(16, 8, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 3, 2, 1, 1)]
    return [*down, *up]


def _instance_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


NETWORKS: dict[str, Build] = {
    "U-Net": made(UNet, 1, 32, 32),
    "U-Net, bilinear, sigmoid": made(UNet, 1, 32, 32, transposed=False, final=nn.Sigmoid()),
    "U-Net, instance norm, leaky ReLU": made(
        UNet, 1, 32, 32, norm=_instance_norm, activation=partial(nn.LeakyReLU, inplace=True)
    ),
    "autoencoder (sigmoid)": made(Autoencoder, 1, 28, 28),
    "autoencoder, convolutions": sequential(_conv_autoencoder, 1, 16, 16),
    "variational autoencoder": made(VariationalAutoencoder, 1, 28, 28),
    "DCGAN generator": sequential(_generator, 16, 1, 1),
    "DCGAN discriminator": sequential(_discriminator, 3, 16, 16),
    "ESPCN": made(SuperResolution, 3, 16, 16, activation=nn.ReLU, residual=False),
    "ESPCN, PReLU, bicubic": made(SuperResolution, 3, 16, 16, activation=nn.PReLU, residual=True),
    "DnCNN": made(DnCnn, 1, 16, 16),
    "siamese (2 inputs)": fed(
        Siamese, lambda: (torch.randn(2, 1, 16, 16), torch.randn(2, 1, 16, 16))
    ),
    "image and numbers (2 inputs)": fed(
        ImageAndNumbers, lambda: (torch.randn(2, 1, 16, 16), torch.randn(2, 4))
    ),
    "FiLM (2 inputs)": fed(Film, lambda: (torch.randn(2, 3, 8, 8), torch.randn(2, 4))),
}
