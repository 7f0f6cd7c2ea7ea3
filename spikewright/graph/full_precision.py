"""Autocast kept away from counts, which 16 bits cannot hold."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import torch

_DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def full_precision() -> Generator[None]:
    """Within it, and in functions that it decorates, autocast is off on every device."""
    with ExitStack() as stack:
        for kind in _DEVICES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
