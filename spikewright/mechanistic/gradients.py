"""Least squares in blocks as a function with gradients: the backward pass reuses the factor.

With x the solution of min |A x - b|, r = b - A x, and g the gradient that arrives at x,

    A^T A y = g,     db = A y,     dA = r y^T - (A y) x^T.

R of A = Q R solves the first by two substitutions, so going back costs less than the way there.
dA is formed inside the blocks alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikewright.mechanistic.blocks import Blocks
from spikewright.mechanistic.factor import factorised


def least_squares(blocks: Blocks) -> Tensor:
    """The x `[B, N, K]` of least squared error, in time and memory linear in N.

    Args:
        blocks: the rows of the problem, in float32 or float64. Gradients reach all of its tensors,
            once: there is no second derivative.

    Returns:
        x, with gradients.

    Raises:
        EquationError: where rows do not determine every unknown, to the precision of their dtype.

    Example:
        >>> own, edges = torch.ones(1, 3, 1, 1), torch.ones(1, 2, 1, 1)
        >>> rhs = torch.tensor([[[1.0], [2.0], [3.0]]])
        >>> x = least_squares(Blocks(own, rhs, -edges, edges, torch.ones(1, 2, 1)))
        >>> [round(value, 3) for value in x.flatten().tolist()]
        [1.0, 2.0, 3.0]

    Source: Chen et al., ICLR 2025, arXiv 2410.06074, which factors A^T A from one end to the other;
    here A itself is factored, in an order that leaves few steps.
    """
    solution: Tensor = _LeastSquares.apply(*blocks.tensors)
    return solution


class _LeastSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.factor, x = factorised(Blocks(*parts))
        ctx.save_for_backward(*parts, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] (once_differentiable's type)
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        *parts, x = ctx.saved_tensors
        blocks = Blocks(*parts)
        y = ctx.factor.normal(grad_outputs[0])
        own_y, edge_y = blocks.times(y)
        own_x, edge_x = blocks.times(x)
        own_r, edge_r = blocks.own_rhs - own_x, blocks.edge_rhs - edge_x
        needed = ctx.needs_input_grad

        def matrix_gradient(place: int, r: Tensor, ay: Tensor, part: slice) -> Tensor | None:
            if not needed[place]:  # the matrices of a Taylor series are constant, and many
                return None
            return _outer(r, y[:, part]) - _outer(ay, x[:, part])

        own = matrix_gradient(0, own_r, own_y, slice(None))
        left = matrix_gradient(2, edge_r, edge_y, slice(None, -1))
        right = matrix_gradient(3, edge_r, edge_y, slice(1, None))
        return own, own_y, left, right, edge_y


def _outer(rows: Tensor, columns: Tensor) -> Tensor:
    """`[..., M]` times `[..., K]`, `[..., M, K]`."""
    return rows.unsqueeze(-1) * columns.unsqueeze(-2)
