"""A seed for code that draws from torch's own generator, such as weight initialisation."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

LARGEST_SEED = 2**32 - 1
"""The largest seed of a training; torch and NumPy both take it."""


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Run a block with torch's CPU generator seeded, and restore it afterwards.

    Weight initialisation draws from that generator and takes no other. Generators of GPUs are
    neither seeded nor touched: make models on the CPU and move them.

    Args:
        seed: any integer that `torch.Generator.manual_seed` takes.

    Example:
        >>> with seeded(0):
        ...     first = torch.rand(())
        >>> with seeded(0):
        ...     assert torch.rand(()) == first
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
