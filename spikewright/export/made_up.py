"""Images of no meaning, to try an exported network on where there is no data."""

from __future__ import annotations

import torch
from torch import Tensor


def made_up(shape: tuple[int, ...], batch: int) -> Tensor:
    """Images `[batch, *shape]`, float32, always the same ones: normal, of spread 1."""
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, *shape, generator=generator)
