"""Where tensors are made, and in which numbers.

`torch.set_default_device` is the caller's: it holds for the caller's code, not for ours. What is
made here is made on the CPU, or where it is needed. What a caller hands in to be called, such as a
model, its data or a metric, finds the default that the caller has set.

Some devices have no float64, such as "mps". Sums that need it are computed on the CPU then.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

_Item = TypeVar("_Item")

_callers: ContextVar[torch.device | None] = ContextVar("the caller's default device", default=None)


@contextmanager
def cpu_by_default() -> Generator[None]:
    """Within it, and in functions that it decorates, tensors are made on the CPU by default."""
    outside = torch.get_default_device()
    if outside.type == "cpu":
        yield
        return
    before = _callers.set(outside)
    try:
        with torch.device("cpu"):
            yield
    finally:
        _callers.reset(before)


@contextmanager
def callers_default() -> Generator[None]:
    """Within it, the default device is again what it was outside of `cpu_by_default`."""
    outside = _callers.get()
    if outside is None:
        yield
    else:
        with torch.device(outside):
            yield


def items_of(data: Iterable[_Item]) -> Generator[_Item]:
    """What an iterable of the caller's gives, made under the caller's default."""
    with callers_default():
        items = iter(data)
    while True:
        with callers_default():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


@lru_cache
def has_float64(kind: str) -> bool:
    """Whether a kind of device, such as "cuda", has numbers of 64 bits."""
    try:
        torch.empty(0, dtype=torch.float64, device=kind)
    except (TypeError, RuntimeError):
        return False
    return True


def where_float64_is(tensor: Tensor) -> Tensor:
    """A tensor where it can be made float64: itself, or a copy on the CPU."""
    return tensor if has_float64(tensor.device.type) else tensor.cpu()
