"""The pixels of a file become the input of a network: resize, crop, scale, normalise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import DataError
from spikewright.extras import require_extra

CROP_FRACTION = 224 / 256
"""The side of the centre crop over the shorter side, as in torchvision's first presets."""
INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Normalisation:
    """The normalisation `(pixel - mean) / std` by channel, with pixels in 0 .. 1.

    Attributes:
        mean: one value a channel, in units of the pixel range 0 .. 1.
        std: one positive value a channel, in the same units.

    Raises:
        DataError: when made with lengths that differ, a value that is not finite, or a
            standard deviation that is not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise DataError(
                f"mean has {len(self.mean)} values and std has {len(self.std)}; "
                "give one of each per channel"
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)):
            raise DataError(f"mean={self.mean}, std={self.std}: every value must be finite")
        if any(value <= 0 for value in self.std):
            raise DataError(
                f"std={self.std}: every standard deviation must be above 0; "
                "for a channel that needs no scaling give 1"
            )

    def __call__(self, image: Tensor) -> Tensor:
        """Normalise an image [C, H, W]."""
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=image.device)
            for values in (self.mean, self.std)
        )
        return (image - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)


def normalisation(
    mean: Sequence[float] | None, std: Sequence[float] | None, channels: int
) -> Normalisation | None:
    """Check a mean and a standard deviation against the number of channels of the images.

    Returns:
        The normalisation, or None if neither is given.

    Raises:
        DataError: if one is given without the other, or either is not one value a channel.
    """
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        given, absent = ("mean", "std") if std is None else ("std", "mean")
        raise DataError(f"{given} is given without {absent}; give both or neither")
    checked = Normalisation(
        tuple(float(value) for value in mean), tuple(float(value) for value in std)
    )
    if len(checked.mean) != channels:
        raise DataError(
            f"mean and std have {len(checked.mean)} values, but the images have "
            f"{channels} channel(s); give one value a channel"
        )
    return checked


@dataclass(frozen=True)
class Resize:
    """How a picture is resized before its centre is cropped.

    Attributes:
        side: the shorter side afterwards, in pixels.
        interpolation: `"bilinear"` or `"bicubic"`.

    Raises:
        DataError: when made with another interpolation, or a side below 1.
    """

    side: int
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.side < 1:
            raise DataError(f"Resize: side={self.side}; the side of an image is at least 1 pixel")
        if self.interpolation not in INTERPOLATIONS:
            raise DataError(
                f"Resize: interpolation='{self.interpolation}'; give one of "
                f"{', '.join(INTERPOLATIONS)}"
            )


@dataclass(frozen=True)
class FilePreprocessing:
    """An 8-bit RGB picture (PIL) to a float32 image [3, H, W], as torchvision's presets do it.

    With `size`, a picture that is not `size` x `size` already is resized, and its centre `size` x
    `size` is kept.

    Attributes:
        size: the side of the square that is cut out, in pixels; None keeps the picture's own size.
        normalise: the normalisation, applied last to pixels in 0 .. 1; None leaves them there.
        resize: what happens before the crop; None is `Resize(size * 256 / 224)`.

    Raises:
        DataError: when made with a size below 1, or a `resize` without it or to less.
    """

    size: int | None
    normalise: Normalisation | None
    resize: Resize | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise DataError(f"size={self.size}: the side of an image is at least 1 pixel")
        if self.resize is not None and (self.size is None or self.resize.side < self.size):
            raise DataError(
                f"{self.resize} before a crop to size={self.size}; give a size of at most "
                f"{self.resize.side}"
            )

    def __call__(self, picture: Any) -> Tensor:
        """Turn a `PIL.Image` into an image [3, H, W]."""
        functional = require_extra("torchvision.transforms.functional", "vision", "reading images")
        if self.size is not None and picture.size != (self.size, self.size):
            to = self.resize or Resize(round(self.size / CROP_FRACTION))
            mode = functional.InterpolationMode(to.interpolation)
            picture = functional.resize(picture, to.side, mode)
            picture = functional.center_crop(picture, [self.size, self.size])
        pixels: Tensor = functional.pil_to_tensor(picture)
        image = pixels.to(torch.float32) / 255
        return image if self.normalise is None else self.normalise(image)
