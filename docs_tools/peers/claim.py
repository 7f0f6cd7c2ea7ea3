"""What a claim about another library is: a few lines that show it, beside what holds here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Finding:
    """What running a claim gave.

    Attributes:
        holds: whether it showed what the claim says, theirs and ours.
        told: the numbers.
    """

    holds: bool
    told: str


@dataclass(frozen=True)
class Claim:
    """A statement of docs/comparison.md that can be run.

    Attributes:
        name: as the page cites it.
        package: the peer's, as it is imported.
        run: shows it.
    """

    name: str
    package: str
    run: Callable[[], Finding]


def claims(package: str, *runs: Callable[[], Finding]) -> tuple[Claim, ...]:
    """Claims about a package, named after it and the functions that show them."""
    return tuple(Claim(f"{package}-{run.__name__.replace('_', '-')}", package, run) for run in runs)


def two_layers() -> nn.Sequential:
    """A trained network stands in for by random weights: two layers with ReLU, and a third."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4)
    ).eval()


class Functional(nn.Module):
    """The same kind of network, its activation called as a function."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(16, 32)
        self.last = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[B, 4]`."""
        return self.last(F.relu(self.first(x)))


class Reused(nn.Module):
    """One `nn.ReLU` module called twice, as in torchvision's residual blocks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(16, 32)
        self.second = nn.Linear(32, 32)
        self.last = nn.Linear(32, 4)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[B, 4]`."""
        return self.last(self.act(self.second(self.act(self.first(x)))))


def samples(number: int = 64, seed: int = 1) -> Tensor:
    """Inputs `[number, 16]` in 0..1."""
    return torch.rand(number, 16, generator=torch.Generator().manual_seed(seed))
