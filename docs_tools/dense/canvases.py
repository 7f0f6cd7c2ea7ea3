"""Canvases of several handwritten digits, with a box and a mask for each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.data import open_dataset

SIDE = 48
INK = 0.4
"""Pixels of a digit, in 0 .. 1, that are part of its mask."""

Box = tuple[float, float, float, float, int]
"""Left, top, right and bottom edge in pixels, and the digit."""


@dataclass(frozen=True)
class Canvases:
    """Images and what is on them.

    Attributes:
        images: float32 `[N, 1, SIDE, SIDE]`, noise and a slope of brightness on them.
        boxes: of every canvas, the bounding boxes of the masks of its digits.
        masks: int64 `[N, SIDE, SIDE]`, 0 for the background and 1 more than the digit.
    """

    images: Tensor
    boxes: tuple[tuple[Box, ...], ...]
    masks: Tensor


def drawn(count: int, split: str, seed: int) -> Canvases:
    """Canvases of 2 to 4 digits of 13 to 20 pixels that do not touch.

    Args:
        count: N.
        split: of the digits: "train" or "test".
        seed: of everything that is drawn.
    """
    digits = getattr(open_dataset("digits"), split)
    chance, noise = random.Random(seed), torch.Generator().manual_seed(seed)
    slopes = torch.linspace(-0.5, 0.5, SIDE)
    images, boxes, masks = list[Tensor](), list[tuple[Box, ...]](), list[Tensor]()
    for _ in range(count):
        ground = sum(
            chance.uniform(-0.3, 0.3) * slope for slope in (slopes[:, None], slopes[None, :])
        )
        image, mask = torch.full((SIDE, SIDE), 0.25) + ground, torch.zeros(SIDE, SIDE).long()
        found: list[Box] = []
        for _ in range(chance.randint(2, 4)):
            picture, label = digits[chance.randrange(len(digits))]
            _paste(image, mask, found, picture, label, chance)
        images.append(image + 0.05 * torch.randn(image.shape, generator=noise))
        boxes.append(tuple(found))
        masks.append(mask)
    return Canvases(torch.stack(images)[:, None], tuple(boxes), torch.stack(masks))


def _paste(
    image: Tensor, mask: Tensor, boxes: list[Box], digit: Tensor, label: int, chance: random.Random
) -> None:
    """Put a digit `[1, 8, 8]` where it touches none of the others; nowhere after 20 tries."""
    side = chance.randint(13, 20)
    grown = F.interpolate(digit[None], size=(side, side), mode="bilinear")[0, 0].clamp(0, 1)
    ink = grown > INK
    rows, columns = (ink.any(d).nonzero().flatten().tolist() for d in (1, 0))
    for _ in range(20):
        top, left = (chance.randint(0, SIDE - side) for _ in range(2))
        place = (slice(top, top + side), slice(left, left + side))
        if not bool(mask[place].any()):
            image[place] = torch.maximum(image[place], chance.uniform(0.7, 1) * grown)
            mask[place][ink] = label + 1
            (x, right), (y, bottom) = (
                (float(start + inked[0]), float(start + inked[-1] + 1))
                for start, inked in ((left, columns), (top, rows))
            )
            boxes.append((x, y, right, bottom, label))
            return


def box_iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)


def boxes_iou(some: Sequence[Box], others: Sequence[Box]) -> float:
    """Mean over pairs of boxes of one digit, the likest first, and boxes without a partner as 0."""
    pairs = sorted(
        (
            (box_iou(a, b), i, j)
            for i, a in enumerate(some)
            for j, b in enumerate(others)
            if a[4] == b[4]
        ),
        reverse=True,
    )
    left, right, total = set[int](), set[int](), 0.0
    for overlap, i, j in pairs:
        if overlap > 0 and i not in left and j not in right:
            left.add(i)
            right.add(j)
            total += overlap
    together = len(some) + len(others) - len(left)
    return total / together if together else 1.0


def masks_iou(one: Tensor, other: Tensor) -> float:
    """Mean over the digits of two masks `[H, W]` of the intersection over the union."""
    digits = set(one.unique().tolist()) | set(other.unique().tolist())
    shares = [
        float(((one == d) & (other == d)).sum() / ((one == d) | (other == d)).sum())
        for d in digits - {0}
    ]
    return sum(shares) / len(shares) if shares else 1.0
