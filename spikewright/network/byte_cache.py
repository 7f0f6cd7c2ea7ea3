"""A cache that is bounded by the bytes of what it keeps, not by how many things it keeps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

KEPT_BYTES = 512 << 20
"""Bytes of weights that a network keeps ready for several T. ResNet-18 fits eleven times, VGG-16
once: a network always keeps the T in use, whatever its size."""

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """Keeps the values used last, as many as fit into a budget, and always the one in use.

    Args:
        bytes_of: the size of a value; asked at every use, as values may grow.
        budget: bytes.
    """

    def __init__(self, bytes_of: Callable[[Value], int], budget: int = KEPT_BYTES) -> None:
        self._bytes_of = bytes_of
        self._budget = budget
        self._kept: OrderedDict[int, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: int, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not kept."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self._total() > self._budget:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _total(self) -> int:
        return sum(self._bytes_of(value) for value in self._kept.values())
