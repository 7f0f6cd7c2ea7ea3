"""Compact convolutional transformers (Hassani et al., arXiv 2104.05704) for 32 x 32 images."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.init import trunc_normal_


class Attention(nn.Module):
    """Self-attention of several heads.

    Args:
        width: the number of channels of a token.
        heads: how many heads share them.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, N, C] to tokens [B, N, C]."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A layer of the encoder: attention and two linear layers, each behind a layer norm.

    Args:
        width, heads: see `Attention`.
        hidden: the number of channels between the two linear layers.
        activation: makes one activation module.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, hidden)
        self.act = activation()
        self.linear2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, N, C] to tokens [B, N, C]."""
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(self.act(self.linear1(self.norm2(x))))


class CompactTransformer(nn.Module):
    """Convolutions make the tokens, an encoder mixes them, their weighted mean is classified.

    Args:
        num_classes: the number of logits.
        activation: makes one activation module; every site gets its own.
        depth: the number of layers of the encoder.
        width, heads: see `Attention`.
        hidden: see `Block`.
    """

    def __init__(
        self,
        num_classes: int,
        activation: Callable[[], nn.Module],
        depth: int = 6,
        width: int = 128,
        heads: int = 4,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, kernel_size=3, padding=1, bias=False)
        self.act1 = activation()
        self.conv2 = nn.Conv2d(width // 2, width, kernel_size=3, padding=1, bias=False)
        self.act2 = activation()
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.position = nn.Parameter(trunc_normal_(torch.empty(64, width), std=0.2))
        blocks = [Block(width, heads, hidden, activation) for _ in range(depth)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.importance = nn.Linear(width, 1)
        self.linear = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, 3, 32, 32] to logits [B, num_classes]."""
        x = self.pool(self.act1(self.conv1(x)))
        x = self.pool(self.act2(self.conv2(x)))
        x = self.norm(self.blocks(x.flatten(2).transpose(1, 2) + self.position))
        share = self.importance(x).softmax(1)
        return self.linear((share.transpose(1, 2) @ x).squeeze(1))


def cct6(
    num_classes: int = 10, activation: Callable[[], nn.Module] = nn.GELU
) -> CompactTransformer:
    """Make a compact transformer of 6 layers and 64 tokens: 0.9 M parameters.

    Weights start random, from torch's generator: seed it with `spikewright.training.seeded`.

    Args:
        num_classes: the number of logits, at least 1.
        activation: makes one activation module without arguments.

    Returns:
        The network, in training mode.
    """
    return CompactTransformer(num_classes, activation)
