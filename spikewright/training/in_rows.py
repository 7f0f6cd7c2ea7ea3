"""Convolutions of small maps with large weights, the images of a batch side by side in one row.

CPUs convolve a batch image by image. On a map of 4 x 4 that fills few of the 16 rows of a matrix
unit (AMX), and reads all weights anew for every image. A row of images with zeros between them is
one wide image, whose convolution is the same sums: it takes a half to a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from spikewright.network.integers import result_sizes

LARGEST_MAP = 49
"""Pixels of the result up to which a row is faster."""
LEAST_WEIGHTS = 2**19
"""Weights from which it is: half of what the second cache of a core holds, in bfloat16."""


class ConvolutionsInRows(TorchFunctionMode):
    """Within it, convolutions that are faster so put their images side by side."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return (convolved if func is F.conv2d else func)(*args, **(kwargs or {}))


def convolved(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`, in a row where that is faster."""
    row = images.ndim == 4 and weight.numel() >= LEAST_WEIGHTS and weight[0, 0].numel() > 1
    if row and groups == 1 and not isinstance(padding, str):
        geometry = (_pair(stride), _pair(padding), _pair(dilation))
        height, width = result_sizes(images.shape[2:], weight.shape[2:], *geometry)
        if height * width <= LARGEST_MAP:
            return in_a_row(images, weight, bias, *geometry, width)
    return F.conv2d(images, weight, bias, stride, padding, dilation, groups)


def in_a_row(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    width: int,
) -> Tensor:
    """A convolution `[B, I, H, W]` of one group as that of `[1, I, H, B * (W + gap)]`.

    The zeros behind an image are its own padding and the next one's; with them, an image is as wide
    as a whole number of strides.

    Args:
        images, weight, bias, stride, padding, dilation: of `torch.nn.functional.conv2d`.
        width: of its result.

    Returns:
        `[B, O, height, width]`.
    """
    batch, channels, height, _ = images.shape
    reach = dilation[1] * (weight.shape[3] - 1)
    apart = max(width, -(-(images.shape[3] + padding[1]) // stride[1]))
    spaced = F.pad(images, (0, apart * stride[1] - images.shape[3]))
    row = spaced.permute(2, 0, 3, 1).reshape(1, height, -1, channels).permute(0, 3, 1, 2)
    row = F.pad(row, (0, max(0, reach - 2 * padding[1])))
    found = F.conv2d(row, weight, bias, stride, padding, dilation)[0, :, :, : batch * apart]
    return found.unflatten(2, (batch, apart))[..., :width].permute(2, 0, 1, 3)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second
