"""Random crops, flips, cutout and AutoAugment, a function of (seed, epoch, image) alone.

What happens to an image depends neither on the batch it is in nor on who loads it: whole batches
are changed at once by tensor operations, each image by its own counter-based draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.data import ImageData
from spikewright.data.preprocessing import normalisation
from spikewright.extras import require_extra
from spikewright.neurons.counter_random import Draws
from spikewright.runs.kinds import Augmentation
from spikewright.runs.recipe import DataRecipe
from spikewright.seeding import seeded

KNOWN_STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
"""Mean and standard deviation of each channel over the training set, pixels in 0 .. 1."""
CROP_PADDING = 4
"""The black pixels on every side before the crop, as usual for CIFAR; on images smaller than its 32
pixels an eighth of the shorter side, at least 1."""
CUTOUT_SIDE = 16
"""The side of the square that cutout greys, in pixels (DeVries & Taylor 2017, CIFAR-10); on smaller
images half the shorter side."""
DRAWS = 5


@dataclass(frozen=True)
class Augmenter:
    """Turns stored images into training input: augmented, in float32 and normalised.

    Attributes:
        kinds: the changes to make, by their names in `Augmentation`.
        mean: [C, 1, 1], in units of the pixel range 0 .. 1.
        std: [C, 1, 1], in the same units.
        seed: the seed of every draw.
    """

    kinds: frozenset[str]
    mean: Tensor
    std: Tensor
    seed: int

    @classmethod
    def of(cls, recipe: DataRecipe, data: ImageData, seed: int, device: torch.device) -> Augmenter:
        """The augmentation of a recipe; without a mean, that of CIFAR, or 0 of other data.

        Raises:
            DataError: if mean and standard deviation do not fit the number of channels.
        """
        channels = data.image_shape[0]
        own = normalisation(recipe.mean, recipe.std, channels)
        known = KNOWN_STATISTICS.get(data.name, ((0.0,) * channels, (1.0,) * channels))
        mean, std = (
            torch.tensor(values, device=device).view(-1, 1, 1)
            for values in (known if own is None else (own.mean, own.std))
        )
        return cls(frozenset(recipe.augment), mean, std, seed)

    def training(self, images: Tensor, indices: Tensor, epoch: int) -> Tensor:
        """Augment and normalise a batch.

        Args:
            images: [B, C, H, W], uint8 in 0 .. 255 or float32 in 0 .. 1.
            indices: int64 [B], of the images in their data set.
            epoch: counted from 1.

        Returns:
            float32 [B, C, H, W].
        """
        if Augmentation.AUTOAUGMENT in self.kinds:
            images = self._autoaugmented(images, indices, epoch)
        draws = Draws(self.seed, f"augmentation of epoch {epoch}", indices)
        u = draws.uniform(0, (len(images), DRAWS))
        if self.kinds & {Augmentation.CROP, Augmentation.FLIP}:
            images = self._moved(images, u)
        x = self.plain(images)
        return cut_out(x, u[:, 3], u[:, 4]) if Augmentation.CUTOUT in self.kinds else x

    def plain(self, images: Tensor) -> Tensor:
        """Normalise a batch [B, C, H, W] without changing it otherwise."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return (pixels - self.mean) / self.std

    def _moved(self, images: Tensor, u: Tensor) -> Tensor:
        padding = _crop_padding(images) if Augmentation.CROP in self.kinds else 0
        flip = u[:, 2] < 0.5 if Augmentation.FLIP in self.kinds else torch.zeros_like(u[:, 2] > 0)
        places = 2 * padding + 1
        return crop_and_flip(
            images, padding, (u[:, 0] * places).long(), (u[:, 1] * places).long(), flip
        )

    def _autoaugmented(self, images: Tensor, indices: Tensor, epoch: int) -> Tensor:
        v2: Any = require_extra("torchvision.transforms.v2", "vision", "AutoAugment")
        policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        keys: Sequence[int] = Draws(self.seed, f"autoaugment {epoch}", indices).keys.tolist()
        with seeded(0):  # torchvision draws from torch's own generator and takes no other
            changed: list[Tensor] = []
            for image, key in zip(images.cpu(), keys, strict=True):
                torch.default_generator.manual_seed(key)
                changed.append(policy(image))
        return torch.stack(changed).to(images.device)


def crop_and_flip(images: Tensor, padding: int, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Pad with zeros, cut each image's own window of the first size, and mirror some.

    Args:
        images: [B, C, H, W].
        padding: pixels on every side.
        top: int64 [B], first row of each window in the padded image, 0 .. 2 * padding.
        left: int64 [B], first column, the same.
        flip: bool [B], mirror left to right.

    Returns:
        [B, C, H, W], in the memory layout channels-last.
    """
    count, _, height, width = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    rows = top[:, None] + torch.arange(height, device=device)
    across = torch.arange(width, device=device)
    columns = left[:, None] + torch.where(flip[:, None], width - 1 - across, across)
    sample = torch.arange(count, device=device)[:, None, None]
    cut = padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def cut_out(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Set a square around a random pixel to 0, the mean of normalised images (DeVries & Taylor).

    Args:
        x: normalised images [B, C, H, W].
        row: float32 [B] in [0, 1), where the middle is, as a fraction of the height.
        column: float32 [B], the same of the width.

    Returns:
        [B, C, H, W]; a square at the edge is cut off there.
    """
    height, width = x.shape[2:]
    side = min(CUTOUT_SIDE, height // 2, width // 2)
    rows, columns = _near(row, height, side), _near(column, width, side)
    return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0.0)


def _crop_padding(images: Tensor) -> int:
    """Pixels on every side of images [B, C, H, W]."""
    return min(CROP_PADDING, max(1, min(images.shape[2:]) // 8))


def _near(middle: Tensor, length: int, side: int) -> Tensor:
    """Whether each of `length` pixels lies in the square, bool [B, length]."""
    start = (middle * length).long()[:, None] - side // 2
    pixel = torch.arange(length, device=middle.device)
    return (pixel >= start) & (pixel < start + side)
