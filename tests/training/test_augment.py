"""Augmentation: right pixel by pixel, and a function of (seed, epoch, image) alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikewright.training import Augmentation
from spikewright.training.augment import Augmenter, crop_and_flip, cut_out

CROP, FLIP, CUTOUT, AUTO = Augmentation
IMAGES = torch.randint(
    0, 256, (24, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def augmenter(*kinds: Augmentation, seed: int = 0) -> Augmenter:
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    return Augmenter(frozenset(kinds), mean.view(3, 1, 1), std.view(3, 1, 1), seed)


def by_hand(image: Tensor, padding: int, top: int, left: int, flip: bool) -> Tensor:
    """One image, padded, cut and mirrored pixel by pixel."""
    made = torch.zeros_like(image)
    height, width = image.shape[1:]
    for row in range(height):
        for column in range(width):
            y = row + top - padding
            x = (width - 1 - column if flip else column) + left - padding
            if 0 <= y < height and 0 <= x < width:
                made[:, row, column] = image[:, y, x]
    return made


@given(st.integers(0, 3), st.data())
def test_crop_and_flip_by_hand(padding: int, data) -> None:
    images = torch.arange(2 * 2 * 5 * 4, dtype=torch.uint8).view(2, 2, 5, 4)
    places = st.lists(st.integers(0, 2 * padding), min_size=2, max_size=2)
    top, left = data.draw(places), data.draw(places)
    flip = data.draw(st.lists(st.booleans(), min_size=2, max_size=2))
    made = crop_and_flip(images, padding, torch.tensor(top), torch.tensor(left), torch.tensor(flip))
    for i in range(2):
        assert torch.equal(made[i], by_hand(images[i], padding, top[i], left[i], flip[i]))


def test_cutout_sets_a_square_to_zero_cut_off_at_the_edge() -> None:
    x = torch.ones(2, 3, 32, 32)
    made = cut_out(x, torch.tensor([0.5, 0.0]), torch.tensor([0.5, 31.5 / 32]))
    expected = torch.ones(2, 3, 32, 32)
    expected[0, :, 8:24, 8:24] = 0
    expected[1, :, :8, 23:] = 0
    assert torch.equal(made, expected)


KINDS = [(), (CROP,), (FLIP,), (CROP, FLIP, CUTOUT), (AUTO, CROP)]


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: "+".join(kinds) or "none")
def test_an_image_is_changed_the_same_in_any_batch(kinds: tuple[Augmentation, ...]) -> None:
    if AUTO in kinds:
        pytest.importorskip("torchvision", reason="needs the extra 'vision'")
    before = torch.get_rng_state()
    indices = torch.arange(24) * 17
    whole = augmenter(*kinds).training(IMAGES, indices, epoch=3)
    shuffled = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    for part in shuffled.split(7):
        found = augmenter(*kinds).training(IMAGES[part], indices[part], epoch=3)
        assert torch.equal(found, whole[part])
    assert whole.dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), before)
    for other in (
        augmenter(*kinds).training(IMAGES, indices, epoch=4),
        augmenter(*kinds, seed=1).training(IMAGES, indices, epoch=3),
    ):
        assert torch.equal(other, whole) == (not kinds)


def test_all_places_and_both_sides_occur() -> None:
    image = torch.arange(1, 1025, dtype=torch.float32).view(1, 1, 32, 32) / 1024
    images = image.expand(2000, 1, 32, 32)
    plain = Augmenter(frozenset({CROP, FLIP}), torch.zeros(1, 1, 1), torch.ones(1, 1, 1), seed=0)
    made = plain.training(images, torch.arange(2000), epoch=1)
    middle = (made[:, 0, 16, 16] * 1024).round().long() - 1
    seen = {(int(v) // 32, int(v) % 32) for v in middle}
    straight = {(row, column) for row in range(12, 21) for column in range(12, 21)}
    mirrored = {(row, 31 - column) for row in range(12, 21) for column in range(12, 21)}
    assert seen == straight | mirrored


@pytest.mark.parametrize(
    ("height", "width", "padding", "square"),
    [(8, 8, 1, 4), (16, 24, 2, 8), (28, 28, 3, 14), (32, 32, 4, 16), (128, 96, 4, 16)],
)
def test_crop_and_cutout_are_of_a_size_with_the_image(
    height: int, width: int, padding: int, square: int
) -> None:
    images, zero, one = torch.ones(500, 1, height, width), torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    cropped = Augmenter(frozenset({CROP}), zero, one, seed=0).training(images, torch.arange(500), 1)
    black_rows = height - cropped[:, 0].amax(dim=2).sum(dim=1)
    assert black_rows.unique().tolist() == list(range(padding + 1))
    holed = Augmenter(frozenset({CUTOUT}), zero, one, seed=0).training(images, torch.arange(500), 1)
    erased = (holed == 0).sum(dim=(1, 2, 3))
    assert erased.max() == square**2
    assert erased.min() > 0


def test_normalisation_alone() -> None:
    found = augmenter().training(IMAGES, torch.arange(24), epoch=1)
    expected = (IMAGES[5, 1].float() / 255 - 0.4) / 0.3
    torch.testing.assert_close(found[5, 1], expected)
    as_float = augmenter().plain(IMAGES.float() / 255)
    assert torch.equal(as_float, found)
