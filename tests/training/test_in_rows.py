"""Convolutions with the images of a batch in one row: the same sums, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikewright.training import in_rows

SHAPES = (
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(2, 3),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 2),
)


def drawn(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


@settings(max_examples=60, deadline=None)
@given(st.tuples(*SHAPES), st.tuples(*SHAPES[2:]), st.integers(4, 7), st.integers(4, 8))
def test_a_row_gives_the_sums_of_single_images(
    first: tuple[int, ...], second: tuple[int, ...], height: int, width: int
) -> None:
    batch, channels, *rows = first
    kernel, stride, padding, dilation = zip(rows, second, strict=True)
    if dilation[0] * (kernel[0] - 1) >= height or dilation[1] * (kernel[1] - 1) >= width:
        return
    images, weight = drawn(0, batch, channels, height, width), drawn(1, 3, channels, *kernel)
    bias, options = drawn(2, 3), (stride, padding, dilation)
    true = F.conv2d(images, weight, bias, *options)
    found = in_rows.in_a_row(images, weight, bias, *options, true.shape[3])
    torch.testing.assert_close(found, true)
    gradient = drawn(3, *true.shape).detach()
    for ours, theirs in zip(
        torch.autograd.grad(found, (images, weight, bias), gradient),
        torch.autograd.grad(true, (images, weight, bias), gradient),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("layer", "side", "row"),
    [
        (nn.Conv2d(8, 8, 3, padding=1), 7, True),
        (nn.Conv2d(8, 8, 3, padding=1, stride=2), 14, True),
        (nn.Conv2d(8, 8, 3, padding=1), 8, False),
        (nn.Conv2d(8, 72, 1), 4, False),
        (nn.Conv2d(8, 7, 3, padding=1), 4, False),
        (nn.Conv2d(8, 16, 3, padding=1, groups=2), 4, False),
        (nn.Conv2d(8, 8, 3, padding="same"), 4, False),
    ],
    ids=["7x7", "14x14 stride 2", "8x8", "1x1 kernel", "few weights", "groups", "padding by name"],
)
def test_small_maps_with_many_weights_are_put_in_a_row(
    layer: nn.Conv2d, side: int, row: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_rows, "LEAST_WEIGHTS", 8 * 8 * 9)
    taken = list[int]()
    plain = in_rows.in_a_row

    def counted(*args: object) -> Tensor:
        taken.append(1)
        return plain(*args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(in_rows, "in_a_row", counted)
    images = torch.randn(3, 8, side, side)
    with torch.no_grad():
        with in_rows.ConvolutionsInRows():
            found = layer(images)
        torch.testing.assert_close(found, layer(images))
    assert bool(taken) is row
