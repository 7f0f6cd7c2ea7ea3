"""From a class of networks to an entry: the network, and random input of a shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from docs_tools.census.building import Build


def made(network: Callable[..., nn.Module], *shape: int, **options: Any) -> Build:
    """One input `[2, *shape]` of normally distributed values."""
    return lambda: (network(**options), (torch.randn(2, *shape),))


def sequential(layers: Callable[[], list[nn.Module]], *shape: int) -> Build:
    """Layers one after the other."""
    return lambda: (nn.Sequential(*layers()), (torch.randn(2, *shape),))


def fed(network: Callable[..., nn.Module], inputs: Callable[[], tuple[Any, ...]]) -> Build:
    """Inputs of its own."""
    return lambda: (network(), inputs())
