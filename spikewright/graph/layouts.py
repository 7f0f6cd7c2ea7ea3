"""Where a model keeps the batch in its values.

Models move the batch about (`qkv.permute(2, 0, 3, 1, 4)`), and merge it with other dimensions
(windows, `[B * n, ...]`). In a graph every value is `[B, *S]`: S holds the other dimensions in
their order, and what the batch was merged with as dimensions of its own. The numbers of a value lie
in the same order either way but for the batch.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import torch

Symbols = Set[Any]
"""The sizes of the batch in a program's inputs, which nothing need join: all are one number."""


class BatchMoved(ValueError):  # noqa: N818 (it reads as a sentence)
    """An operation that cannot be rewritten, with the reason."""


@dataclass(frozen=True)
class Layout:
    """Where the batch stands in a model's tensor.

    Attributes:
        sizes: of all dimensions; that of the batch is `before * after`, as if B were 1.
        dim: the dimension of the batch.
        before, after: what is merged with it: its size is `before * B * after`, in this order.
    """

    sizes: tuple[int, ...]
    dim: int = 0
    before: int = 1
    after: int = 1

    @property
    def plain(self) -> bool:
        """Whether it is `[B, *S]` already."""
        return self.dim == 0 and self.before == self.after == 1

    @property
    def merged(self) -> tuple[int, ...]:
        """The sizes of the dimensions that the batch is merged with."""
        return tuple(size for size in (self.before, self.after) if size > 1)

    @property
    def sample(self) -> tuple[int, ...]:
        """S, the shape of one sample."""
        return (*self.sizes[: self.dim], *self.merged, *self.sizes[self.dim + 1 :])

    def places(self, dim: int) -> tuple[int, ...]:
        """The dimensions of `[B, *S]` that a dimension of the model's tensor became."""
        dim %= len(self.sizes)
        if dim < self.dim:
            return (1 + dim,)
        if dim == self.dim:
            return tuple(range(1 + dim, 1 + dim + len(self.merged)))
        return (dim + len(self.merged),)

    def place(self, dim: int) -> int:
        """The one dimension of `[B, *S]` that a dimension of the model's tensor became.

        Raises:
            BatchMoved: for the dimension of the batch.
        """
        if dim % len(self.sizes) == self.dim:
            raise BatchMoved("it works across the batch dimension, which mixes samples")
        return self.places(dim)[0]

    def aligned(self, ndim: int) -> Layout:
        """The same with dimensions of size 1 in front, as broadcasting puts them there."""
        more = ndim - len(self.sizes)
        return replace(self, sizes=(*[1] * more, *self.sizes), dim=self.dim + more)

    def canonical(self, values: torch.Tensor, batch: int) -> torch.Tensor:
        """A tensor of the model as `[B, *S]`; one without a batch dimension has B = 1.

        Args:
            values: of the model's shape, broadcastable to this layout.
            batch: B of the tensor.
        """
        if values.ndim > len(self.sizes):
            raise BatchMoved("its constant has more dimensions than its signal")
        values = values.reshape(*[1] * (len(self.sizes) - values.ndim), *values.shape)
        size = values.shape[self.dim]
        if size not in (1, self.before * batch * self.after):
            raise BatchMoved("it joins a constant whose size does not follow the batch")
        pieces = (1, 1, 1) if size == 1 else (self.before, batch, self.after)
        first = values.unflatten(self.dim, pieces).movedim(self.dim + 1, 0)
        unmerged = [self.dim + 1 + at for at, n in enumerate((self.before, self.after)) if n == 1]
        return first.squeeze(unmerged)


def require_alike(layouts: Sequence[Layout]) -> None:
    """Refuse values that do not have the batch at the same place.

    Raises:
        BatchMoved: where they do not.
    """
    if len({(one.dim, one.before, one.after, len(one.sizes)) for one in layouts}) != 1:
        raise BatchMoved("the batch stands at different places in the values that it joins")


def found(shape: Sequence[Any], batch: Symbols) -> tuple[tuple[int, ...], int] | None:
    """The sizes of a symbolic shape for B = 1, and the dimension of the batch; None without one."""
    sizes = [factor_of(size, batch) for size in shape]
    moving = [dim for dim, (_, grows) in enumerate(sizes) if grows]
    if len(moving) != 1 or any(size is None for size, _ in sizes):
        return None
    return tuple(int(size or 0) for size, _ in sizes), moving[0]


def factor_of(size: Any, batch: Symbols) -> tuple[int | None, bool]:
    """K of a size k or k * B, and whether it is the latter; None for other functions of B."""
    if not isinstance(size, torch.SymInt):
        return int(size), False
    one, three, five = (concrete(size, batch, n) for n in (1, 3, 5))
    if (one, one) == (three, five):
        return int(one), False
    proportional = three == 3 * one and five == 5 * one
    return (int(one) if proportional else None), True


def concrete(size: Any, batch: Symbols, count: int) -> Any:
    """A symbolic number of a program for one size of the batch; other leaves as they are.

    Raises:
        BatchMoved: for a number that follows from values, such as how many of them are positive.
    """
    if not isinstance(size, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        return size
    number: Any = size.node.expr.subs(dict.fromkeys(batch, count))
    if number.free_symbols:
        raise BatchMoved(
            "how many values it keeps follows from the values themselves; answer all of them, and "
            "select afterwards, outside of the network"
        )
    if isinstance(size, torch.SymBool):
        return bool(number)
    return int(number) if isinstance(size, torch.SymInt) else float(number)
