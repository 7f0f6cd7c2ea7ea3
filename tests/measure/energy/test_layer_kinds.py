"""What a layer computes, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from tests.builders import firing, wired


def conv(given: int, taken: int, size: Any = 3, **more: Any) -> nn.Module:
    return nn.Conv2d(given, taken, size, **more)


KINDS: dict[str, tuple[Callable[[Any, Tensor], Tensor], dict[str, nn.Module]]] = {
    "conv 3×3, 2 → 6": (lambda m, x: m.c(x), {"c": conv(2, 6)}),
    "conv 3×1, 2 → 6, stride 2": (
        lambda m, x: m.c(x), {"c": conv(2, 6, (3, 1), stride=2)}
    ),
    "conv 3×3, 2 → 6, stride 2×1": (
        lambda m, x: m.c(x), {"c": conv(2, 6, stride=(2, 1))}
    ),
    "depthwise conv 3×3, 2 → 4": (lambda m, x: m.c(x), {"c": conv(2, 4, groups=2)}),
    "transposed conv 2×2, 2 → 6, stride 2": (
        lambda m, x: m.c(x), {"c": nn.ConvTranspose2d(2, 6, 2, stride=2)}
    ),
    "max pool + conv 1×1, 2 → 3": (
        lambda m, x: m.c(F.max_pool2d(x, 2)), {"c": conv(2, 3, 1)}
    ),
    "conv 1×1, 2 → 3 + avg pool": (
        lambda m, x: F.avg_pool2d(m.c(x), 2), {"c": conv(2, 3, 1)}
    ),
    "conv 1×1, 2 → 2 + add": (lambda m, x: m.c(x) + x, {"c": conv(2, 2, 1)}),
    "2 × conv 1×1, 2 → 2 + concat": (
        lambda m, x: torch.cat([m.c(x), m.d(x)], 1), {"c": conv(2, 2, 1), "d": conv(2, 2, 1)}
    ),
    "linear, 72 → 1,000": (lambda m, x: m.c(x.flatten(1)), {"c": nn.Linear(72, 1000)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_operations_are_named_with_their_sizes(kind: str) -> None:
    """The first ReLU lets all pass on, so that what lies between it and the next is told."""
    between, modules = KINDS[kind]
    model = firing(wired(lambda m, x: F.relu(between(m, F.relu(x))), **modules))
    x = torch.rand(4, 2, 6, 6, dtype=torch.float64)
    snn = sw.convert(model, x, steps=2, correction=None)
    first, second, output = sw.operations(snn, [x]).rows
    assert (first.kind, second.kind, output.kind) == ("", kind, "")


def test_a_row_tells_its_kind() -> None:
    layers = {"a": nn.Linear(4, 3), "b": nn.Linear(3, 2)}
    model = firing(wired(lambda m, x: m.b(F.relu(m.a(x))), **layers))
    x = torch.rand(4, 4, dtype=torch.float64)
    found = sw.operations(sw.convert(model, x, steps=2), [x])
    assert [row.kind for row in found.rows] == ["linear, 4 → 3", "linear, 3 → 2"]
    assert [line["kind"] for line in found.lines()] == ["linear, 4 → 3", "linear, 3 → 2", ""]
