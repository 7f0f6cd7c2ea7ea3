"""Autocast kept away from counts, which 16 bits cannot hold."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import torch

from spikewright.devices import cpu_by_default

_DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def full_precision() -> Generator[None]:
    """Within it, and in functions that it decorates, autocast is off on every device.

    And tensors are made on the CPU by default.
    """
    with ExitStack() as stack:
        stack.enter_context(cpu_by_default())
        for kind in _DEVICES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
