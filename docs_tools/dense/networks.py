"""The detector, the segmenter, their training, and what the host makes of their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from docs_tools.dense.canvases import SIDE, Box, Canvases, box_iou
from spikewright.seeding import seeded

STRIDE = 4
CELLS = SIDE // STRIDE
CLASSES = 10
SCORE, OVERLAP = 0.3, 0.4
"""Boxes of a lower score are left out, and those that overlap a better one by more."""
USUAL = 14.0
"""Sides are regressed as the logarithm of so many pixels."""

Step = Callable[[nn.Module, Canvases, Tensor], Tensor]


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        convolution = nn.Conv2d(width, outputs, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class Detector(nn.Module):
    """A centre detector with a feature pyramid: a heat map of every digit, and boxes.

    It answers images `[B, 1, 48, 48]` with `heat [B, 10, 12, 12]`, logits of centres, and
    `box [B, 4, 12, 12]`: the centre's place in its cell (x, y) and the logarithms of the sides.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(1, 16), nn.MaxPool2d(2), block(16, 32), nn.MaxPool2d(2))
        self.fine, self.coarse = block(32, 64), nn.Sequential(nn.MaxPool2d(2), block(64, 64))
        self.up, self.merged = nn.Upsample(scale_factor=2), block(128, 64)
        self.heat, self.box = (
            nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, outputs, 1))
            for outputs in (CLASSES, 4)
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Heat map and boxes."""
        fine = self.fine(self.stem(x))
        features = self.merged(torch.cat((fine, self.up(self.coarse(fine))), 1))
        return {"heat": self.heat(features), "box": self.box(features)}


class Segmenter(nn.Module):
    """A U-Net: images `[B, 1, 48, 48]` to logits of background and digits, `[B, 11, 48, 48]`."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList((block(1, 16), block(16, 32), block(32, 64)))
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.back = nn.ModuleList((block(64 + 32, 32), block(32 + 16, 16)))
        self.read_out = nn.Conv2d(16, CLASSES + 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every pixel."""
        high = self.down[0](x)
        middle = self.down[1](self.pool(high))
        low = self.down[2](self.pool(middle))
        middle = self.back[0](torch.cat((self.up(low), middle), 1))
        return self.read_out(self.back[1](torch.cat((self.up(middle), high), 1)))


def trained(
    make: Callable[[], nn.Module], loss: Step, canvases: Canvases, epochs: int, seed: int = 0
) -> nn.Module:
    """A network of seed `seed`, trained by AdamW in batches of 32, one cycle; in eval mode."""
    with seeded(seed):
        model = make()
        batches = -(-len(canvases.images) // 32)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, epochs * batches)
        for _ in range(epochs):
            for chosen in torch.randperm(len(canvases.images)).split(32):
                optimiser.zero_grad()
                loss(model, canvases, chosen).backward()
                optimiser.step()
                cycle.step()
    return model.eval()


def detection_loss(model: nn.Module, canvases: Canvases, chosen: Tensor) -> Tensor:
    """Focal loss of the heat map (CenterNet), and the distance of boxes at the centres."""
    answered = model(canvases.images[chosen])
    heat, box, at = targets([canvases.boxes[i] for i in chosen.tolist()])
    p = answered["heat"].sigmoid().clamp(1e-4, 1 - 1e-4)
    centres = heat == 1
    hit = (1 - p) ** 2 * p.log() * centres
    miss = (1 - heat) ** 4 * p**2 * (1 - p).log() * ~centres
    found = at.sum().clamp(min=1)
    away = (F.l1_loss(answered["box"], box, reduction="none") * at).sum()
    return (away - hit.sum() - miss.sum()) / found


def segmentation_loss(model: nn.Module, canvases: Canvases, chosen: Tensor) -> Tensor:
    """Cross-entropy of all pixels."""
    return F.cross_entropy(model(canvases.images[chosen]), canvases.masks[chosen])


def targets(boxes: Sequence[Sequence[Box]]) -> tuple[Tensor, Tensor, Tensor]:
    """Heat maps with a bump at every centre, boxes, and where there are any."""
    heat = torch.zeros(len(boxes), CLASSES, CELLS, CELLS)
    box, at = torch.zeros(len(boxes), 4, CELLS, CELLS), torch.zeros(len(boxes), 1, CELLS, CELLS)
    rows, columns = torch.arange(CELLS)[:, None], torch.arange(CELLS)
    for n, found in enumerate(boxes):
        for left, top, right, bottom, digit in found:
            x, y = (left + right) / 2 / STRIDE, (top + bottom) / 2 / STRIDE
            column, row = min(int(x), CELLS - 1), min(int(y), CELLS - 1)
            bump = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 1.0)
            heat[n, digit] = torch.maximum(heat[n, digit], bump)
            sides = (torch.tensor([right - left, bottom - top]) / USUAL).log()
            box[n, :, row, column] = torch.tensor([x - column, y - row, *sides])
            at[n, 0, row, column] = 1
    return heat, box, at


def boxes_of(answered: dict[str, Tensor]) -> Iterator[tuple[Box, ...]]:
    """The boxes of every canvas: decoded, and by non-maximum suppression, on the host."""
    for heat, box in zip(answered["heat"].sigmoid(), answered["box"], strict=True):
        found: list[Box] = []
        for place in heat.flatten().argsort(descending=True).tolist():
            digit, row, column = place // CELLS**2, place // CELLS % CELLS, place % CELLS
            if float(heat[digit, row, column]) < SCORE:
                break
            dx, dy, *sides = box[:, row, column].tolist()
            x, y = STRIDE * (column + dx), STRIDE * (row + dy)
            width, height = (USUAL * torch.tensor(sides).exp() / 2).tolist()
            one = (x - width, y - height, x + width, y + height, digit)
            if all(box_iou(one, better) <= OVERLAP for better in found):
                found.append(one)
        yield tuple(found)
