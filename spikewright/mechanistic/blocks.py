"""Least squares whose rows touch one point of a grid, or two neighbours: the matrix in blocks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """The rows of a least squares problem in unknowns x `[B, N, K]`: K at each of N points.

        own x[n] = own_rhs                          E rows at each point n
        left x[n] + right x[n + 1] = edge_rhs       P rows between the points n and n + 1

    Attributes:
        own: `[B, N, E, K]`.
        own_rhs: `[B, N, E]`.
        left: `[B, N - 1, P, K]`.
        right: `[B, N - 1, P, K]`.
        edge_rhs: `[B, N - 1, P]`.
    """

    own: Tensor
    own_rhs: Tensor
    left: Tensor
    right: Tensor
    edge_rhs: Tensor

    def __post_init__(self) -> None:
        batch, points, rows, unknowns = self.own.shape
        edge = (batch, points - 1, self.left.shape[2])
        found = [tuple(part.shape) for part in self.tensors[1:]]
        expected = [(batch, points, rows), (*edge, unknowns), (*edge, unknowns), edge]
        if found != expected:
            raise ValueError(
                f"own {tuple(self.own.shape)} asks for own_rhs, left, right and edge_rhs of shapes "
                f"{expected}, got {found}"
            )
        if edge[2] > 2 * unknowns:
            raise ValueError(
                f"at most {2 * unknowns} rows between two points of {unknowns} unknowns, got "
                f"{edge[2]}; a QR decomposition of [left | right | edge_rhs] has no more"
            )

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """All of them, in their order."""
        return self.own, self.own_rhs, self.left, self.right, self.edge_rhs

    def times(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The left-hand sides for x `[B, N, K]`: points `[B, N, E]` and edges `[B, N - 1, P]`."""
        return apply(self.own, x), apply(self.left, x[:, :-1]) + apply(self.right, x[:, 1:])

    def dense(self) -> tuple[Tensor, Tensor]:
        """The same rows as one matrix `[B, M, N K]` and one vector `[B, M]`: N times the memory."""
        batch, points, rows, unknowns = self.own.shape
        edge_rows = self.left.shape[2]
        own = self.own.new_zeros(batch, points, rows, points, unknowns)
        edges = self.own.new_zeros(batch, points - 1, edge_rows, points, unknowns)
        point = torch.arange(points, device=own.device)
        own[:, point, :, point] = self.own.transpose(0, 1)
        edges[:, point[:-1], :, point[:-1]] = self.left.transpose(0, 1)
        edges[:, point[:-1], :, point[1:]] = self.right.transpose(0, 1)
        parts = [part.reshape(batch, -1, points * unknowns) for part in (own, edges)]
        return torch.cat(parts, 1), torch.cat(
            [self.own_rhs.flatten(1), self.edge_rhs.flatten(1)], 1
        )


def apply(matrices: Tensor, vectors: Tensor) -> Tensor:
    """The products of matrices `[..., M, K]` and vectors `[..., K]`, `[..., M]`."""
    return (matrices @ vectors.unsqueeze(-1)).squeeze(-1)
