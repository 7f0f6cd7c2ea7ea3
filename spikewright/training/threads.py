"""A limit on torch's threads, for networks too small to share out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from spikewright.errors import SpikewrightError


@contextmanager
def intra_op_threads(count: int) -> Generator[None]:
    """Run a block with `count` threads for each of torch's operations, and restore their number.

    On tensors as small as the digits, two threads save nothing on an idle machine, and on a
    busy one they wait for each other at every operation: four epochs beside other work on two
    cores took 0.4 s with one thread and 25 s with two (one measurement).

    Args:
        count: threads, at least 1.

    Raises:
        SpikewrightError: if `count` is below 1.
    """
    if count < 1:
        raise SpikewrightError(f"intra_op_threads: count={count}; give at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
