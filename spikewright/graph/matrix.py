"""A weighted operation as the matrix product that it is: rows of weights times what they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MatrixView:
    """A convolution or linear layer as `[G, O / G, K]` weights times `[..., G, K]` inputs.

    G are its groups, O its output channels, K the inputs that one output reads.

    Attributes:
        rows: the weights as a matrix of each group, `[G, O / G, K]`.
        stored: from such matrices to the weights as they are stored.
        read: from its input `[B, *S]` to what each place of its value reads, a view
            `[B, *places, G, *window]`.
        window: how many dimensions, the last ones, make up K.
    """

    rows: Tensor
    stored: Callable[[Tensor], Tensor]
    read: Callable[[Tensor], Tensor]
    window: int
