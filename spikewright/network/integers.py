"""Convolutions of whole numbers in 8-bit integer units: weights cut in digits, and their sums."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikewright.graph.whole_numbers import LARGEST_DIGIT, LEAST_UNIT
from spikewright.network.compiler import fused

DIGITS = 3
_BASE = 256


def cut_in_digits(weight: Tensor, count: int = DIGITS) -> tuple[Tensor, Tensor]:
    """Weights `[O, ...]` as so many signed 8-bit digits each, most significant first.

    Returns:
        Digits, int8 `[count * O, ...]`, and what a one in them stands for, float32 `[count * O]`,
        such that the sum over a weight's three digits is within half of `2**-23` of the channel's
        largest weight; one digit is within a 254th.
    """
    wide = weight.double()
    largest = LARGEST_DIGIT * _BASE ** (count - 1)  # so that digits are within -128..127
    unit = wide.abs().flatten(1).amax(1).clamp(min=LEAST_UNIT) / largest
    rest = (wide / unit.reshape(-1, *[1] * (weight.ndim - 1))).round()
    digits: list[Tensor] = []
    for _ in range(count):
        digit = (rest + _BASE // 2) % _BASE - _BASE // 2
        digits.append(digit.to(torch.int8))
        rest = (rest - digit) / _BASE
    scales = [(unit * _BASE**power).float() for power in range(count)]
    return torch.cat(digits[::-1]), torch.cat(scales[::-1])


def exact_convolution(
    counts: Tensor,
    digits: Tensor,
    scales: Tensor,
    no_offset: Tensor,
    first: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> Tensor:
    """A 2-d convolution over whole numbers, in integers.

    Args:
        counts: uint8 `[B, I, H, W]`.
        digits, scales: of the weights, from `cut_in_digits`, the digits packed.
        no_offset: int32 zeros `[3 * O]`.
        first: the bias, then zeros, float32 `[3 * O]`.
        stride, padding, dilation: two each.

    Returns:
        float32 `[B, O, H, W]`.
    """
    sums = torch.ops.spikewright.digit_sums(
        counts, digits, scales, no_offset, first, stride, padding, dilation
    )
    join = _joined if torch.compiler.is_compiling() else fused(_joined)
    return join(sums)


def _joined(sums: Tensor) -> Tensor:
    """The sum over digits, small ones first; in one pass where it is compiled."""
    high, middle, low = sums.chunk(DIGITS, dim=1)
    return high + (middle + low)


def _digit_sums(
    counts: Tensor,
    digits: Tensor,
    scales: Tensor,
    no_offset: Tensor,
    first: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """What each digit of the weights contributes to a convolution, float32 `[B, 3 * O, H, W]`."""
    weights = (digits, scales, no_offset, first, stride, padding, dilation, 1)
    return torch.ops.onednn.qconv2d_pointwise(
        counts, 1.0, 0, *weights, 1.0, 0, torch.float32, "none", [], ""
    )


def result_sizes(
    image: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:
    """Height and width of the result of a 2-d convolution; two numbers each."""
    return [
        (image[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in range(2)
    ]


def _digit_sums_shape(
    counts: Tensor,
    digits: Tensor,
    scales: Tensor,
    no_offset: Tensor,
    first: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    sizes = result_sizes(counts.shape[2:], digits.shape[2:], stride, padding, dilation)
    empty = counts.new_empty([len(counts), len(no_offset), *sizes], dtype=torch.float32)
    return empty.to(memory_format=torch.channels_last)


# An operator, which the compiler calls as it is, so that it keeps its input, the counts of a layer,
# in memory once, where all their readers find them.
_LIBRARY = torch.library.Library("spikewright", "FRAGMENT")
_LIBRARY.define(
    "digit_sums(Tensor counts, Tensor digits, Tensor scales, Tensor no_offset, Tensor first, "
    "int[] stride, int[] padding, int[] dilation) -> Tensor",
    tags=(torch.Tag.flexible_layout,),
)
_LIBRARY.impl("digit_sums", _digit_sums, "CompositeExplicitAutograd")
torch.library.register_fake("spikewright::digit_sums", _digit_sums_shape, lib=_LIBRARY)

digit_sums = torch.ops.spikewright.digit_sums.default
"""`exact_convolution` without the last sum; the whole of it where weights are one digit."""
