"""Small networks that multiply signals, for digits of 8x8 pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Transformer(nn.Module):
    """Patches of 4x4 pixels, a block of attention and a block of GELU, as in a ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.place = nn.Conv2d(1, 8, 4, 4), nn.Parameter(torch.randn(1, 4, 8) / 4)
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.qkv, self.join = nn.Linear(8, 24), nn.Linear(8, 8)
        self.wide, self.narrow, self.head = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        qkv = self.qkv(self.norms[0](x)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.join(y.transpose(1, 2).flatten(2))
        x = x + self.narrow(F.gelu(self.wide(self.norms[1](x))))
        return self.head(x.mean(1))


class Gated(nn.Module):
    """Channels times a gate each, as in squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.head = nn.Conv2d(1, 6, 3), nn.Linear(6, 6), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        gate = self.gate(x.mean((2, 3))).sigmoid()
        return self.head((x * gate[:, :, None, None]).mean((2, 3)))


def transformer() -> nn.Module:
    """Random weights, the same ones each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Transformer().eval()


def gated() -> nn.Module:
    """Random weights, the same ones each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Gated().eval()
