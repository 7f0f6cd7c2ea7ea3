"""Calls that must be refused, and the words that refuse them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from docs_tools.support.cases import IMAGE, Case


def _on_input(call: str, run: Callable[[Tensor], Tensor]) -> Case:
    return Case(call, lambda _, x: run(x), IMAGE, bare=True)


def _behind_relu(call: str, run: Callable[[Tensor], Tensor]) -> Case:
    return Case(call, lambda _, x: run(x))


ACTIVATIONS = (
    _on_input("torch.atan2(x, y)", lambda x: torch.atan2(x, x.flip(1))),
    _on_input("torch.where(y > 0, x, 0)", lambda x: torch.where(x.flip(1) > 0, x, 0)),
    _on_input("x.sort(1).values", lambda x: x.sort(1).values),
    _on_input("x.max(1).indices", lambda x: x.max(1).indices * 1.0),
)
NORMS = (
    Case(
        "nn.BatchNorm2d(4, track_running_stats=False)", lambda m, x: m.it(x), IMAGE,
        {"it": lambda: nn.BatchNorm2d(4, track_running_stats=False)},
    ),
    _behind_relu("F.dropout(x)  # stays on", lambda x: F.dropout(x, 0.5, True)),
)  # fmt: skip
PRODUCTS = (
    _behind_relu("F.conv2d(x, y)", lambda x: F.conv2d(x, x)),
    _behind_relu('torch.div(x, 2, rounding_mode="floor")',
                 lambda x: torch.div(x, 2, rounding_mode="floor")),
    _behind_relu("F.adaptive_max_pool2d(x, 4)", lambda x: F.adaptive_max_pool2d(x, 4)),
    _behind_relu('F.grid_sample(x, y, mode="nearest")', lambda x: F.grid_sample(
        x, x[:, :2].permute(0, 2, 3, 1), mode="nearest", align_corners=False)),
)  # fmt: skip
BATCH = (
    _behind_relu(
        'torch.einsum("ichw,jchw->ij", x, y)', lambda x: torch.einsum("ichw,jchw->ij", x, x.flip(1))
    ),
    _behind_relu("x - x.mean(0)", lambda x: x - x.mean(0)),
    _behind_relu("x - x.mean()", lambda x: x - x.mean()),
    _behind_relu("x + x.flip(0)", lambda x: x + x.flip(0)),
    _behind_relu("x[:1]", lambda x: x[:1]),
    _behind_relu("torch.cat([x, x])", lambda x: torch.cat([x, x])),
    _behind_relu("x.view(x.size(0) * 4, 36)", lambda x: x.view(x.size(0) * 4, 36)),
    _behind_relu("x / x.size(0)", lambda x: x / x.size(0)),
    _behind_relu("x.half()", lambda x: x.half()),
)
REFUSED = {
    "Activations without a spiking form": ACTIVATIONS,
    "Norms that depend on the batch, and chance": NORMS,
    "Computed weights, rounding, other maxima": PRODUCTS,
    "The batch, and the dtype": BATCH,
}
"""What should be refused, by heading."""
