"""The triangular factor of a least squares problem in blocks, in linear time and log2 N batches.

Eliminating the points of a grid one after another takes N small steps that wait for each other.
Eliminated are here every second point at once, which do not touch each other. With A_j the rows
that touch the point j, one QR decomposition does all of it:

    A_j = [x_j | x_(j-1) | x_(j+1) | rhs] = Q [R_j  X_j  Y_j  z_j]     K rows: x_j by its neighbours
                                              [ 0    L    M    c ]    2K rows: an edge between these
                                              [ 0    0    0    . ]     the rest of the residual

What is left is a problem of the same form with half the points. Q is never formed, and A is never
squared: the error is that of Householder's QR, not that of the normal equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.errors import EquationError
from spikewright.mechanistic.blocks import Blocks, apply


@dataclass(frozen=True)
class Level:
    """Every second of N points, eliminated: `R x_j + X x_(j-1) + Y x_(j+1) = z` for odd j < N - 1.

    Attributes:
        points: N, before.
        triangle: R `[B, J, K, K]`, upper.
        before: X `[B, J, K, K]`.
        after: Y `[B, J, K, K]`.
    """

    points: int
    triangle: Tensor
    before: Tensor
    after: Tensor

    @property
    def gone(self) -> slice:
        """The points that are eliminated."""
        return slice(1, self.points - 1, 2)

    @property
    def kept(self) -> list[int]:
        """The points that stay: the even ones, and the last."""
        return kept_points(self.points)

    @property
    def neighbours(self) -> tuple[slice, slice]:
        """Among the points that stay, the one before and the one after each eliminated one."""
        count = self.triangle.shape[1]
        return slice(0, count), slice(1, count + 1)


@dataclass(frozen=True)
class Factor:
    """The upper triangular R of A = Q R, with the points in the order of their elimination.

    Attributes:
        levels: the eliminations, first to last.
        core: `[B, C, C]`, upper triangular, of the one or two points that are left, C = K or 2 K.
        unknowns: K.
    """

    levels: tuple[Level, ...]
    core: Tensor
    unknowns: int

    def back(self, rhs: Sequence[Tensor], core_rhs: Tensor) -> Tensor:
        """Solve `R x = rhs`.

        Args:
            rhs: of each level, `[B, J, K]`.
            core_rhs: `[B, C]`.

        Returns:
            x `[B, N, K]`.
        """
        x = _solved(self.core, core_rhs).unflatten(1, (-1, self.unknowns))
        for level, given in zip(reversed(self.levels), reversed(rhs), strict=True):
            before, after = (x[:, part] for part in level.neighbours)
            eliminated = given - apply(level.before, before) - apply(level.after, after)
            whole = x.new_empty(len(x), level.points, self.unknowns)
            whole[:, level.kept] = x
            whole[:, level.gone] = _solved(level.triangle, eliminated)
            x = whole
        return x

    def forth(self, g: Tensor) -> tuple[list[Tensor], Tensor]:
        """Solve `R^T w = g` for g `[B, N, K]`: w in the form that `back` takes."""
        found: list[Tensor] = []
        for level in self.levels:
            w = _solved(level.triangle, g[:, level.gone], transposed=True)
            found.append(w)
            g = g[:, level.kept].clone()
            before, after = level.neighbours
            g[:, before] -= apply(level.before.mT, w)
            g[:, after] -= apply(level.after.mT, w)
        return found, _solved(self.core, g.flatten(1), transposed=True)

    def normal(self, g: Tensor) -> Tensor:
        """Solve the normal equations `A^T A y = g`: g and y `[B, N, K]`."""
        return self.back(*self.forth(g))


def factorised(blocks: Blocks) -> tuple[Factor, Tensor]:
    """The factor of a problem, and its solution x `[B, N, K]`.

    Raises:
        EquationError: where rows do not determine every unknown, to the precision of their dtype.
    """
    levels: list[Level] = []
    rhs: list[Tensor] = []
    while blocks.own.shape[1] > 2:
        level, z, blocks = _eliminated(blocks)
        levels.append(level)
        rhs.append(z)
    core, core_rhs = _core(blocks)
    _check_determined(levels, core)
    factor = Factor(tuple(levels), core, blocks.own.shape[-1])
    return factor, factor.back(rhs, core_rhs)


def kept_points(points: int) -> list[int]:
    """The even ones of N points, and the last."""
    return [*range(0, points - 1, 2), points - 1]


def _eliminated(blocks: Blocks) -> tuple[Level, Tensor, Blocks]:
    """Eliminate every second point: the level, its z `[B, J, K]`, and the problem that is left."""
    own, own_rhs, left, right, edge_rhs = blocks.tensors
    points, k = own.shape[1], own.shape[3]
    count = (points - 1) // 2
    gone, to, fro = slice(1, points - 1, 2), slice(0, 2 * count, 2), slice(1, 2 * count, 2)
    touching = [
        _rows(own[:, gone], None, None, own_rhs[:, gone]),
        _rows(right[:, to], left[:, to], None, edge_rhs[:, to]),
        _rows(left[:, fro], None, right[:, fro], edge_rhs[:, fro]),
    ]
    r = torch.linalg.qr(_with_rows(torch.cat(touching, 2), 3 * k), mode="r").R
    top, rest = r[:, :, :k], r[:, :, k : 3 * k]
    level = Level(points, *(top[..., i * k : (i + 1) * k].contiguous() for i in range(3)))
    edges = [rest[..., k : 2 * k], rest[..., 2 * k : 3 * k], rest[..., 3 * k :]]
    if points % 2 == 0:  # the last point stays, with the edge that it has
        last = (left[:, -1:], right[:, -1:], edge_rhs[:, -1:, :, None])
        edges = [torch.cat([e, _with_rows(f, 2 * k)], 1) for e, f in zip(edges, last, strict=True)]
    kept = kept_points(points)
    reduced = Blocks(own[:, kept], own_rhs[:, kept], edges[0], edges[1], edges[2].squeeze(-1))
    return level, top[..., 3 * k], reduced


def _rows(middle: Tensor, before: Tensor | None, after: Tensor | None, rhs: Tensor) -> Tensor:
    """Rows `[middle | before | after | rhs]`, `[B, J, M, 3 K + 1]`; None stands for zeros."""
    zeros = torch.zeros_like(middle)
    sides = [zeros if side is None else side for side in (before, after)]
    return torch.cat([middle, *sides, rhs.unsqueeze(-1)], -1)


def _with_rows(matrices: Tensor, count: int) -> Tensor:
    """The same with rows of zeros below, so that there are at least so many."""
    return F.pad(matrices, (0, 0, 0, max(0, count - matrices.shape[-2])))


def _core(blocks: Blocks) -> tuple[Tensor, Tensor]:
    """The triangle `[B, C, C]` of the one or two points that are left, and its right-hand side."""
    matrix, rhs = blocks.dense()
    columns = matrix.shape[-1]
    rows = _with_rows(torch.cat([matrix, rhs.unsqueeze(-1)], -1), columns)
    r = torch.linalg.qr(rows, mode="r").R[:, :columns]
    return r[..., :columns].contiguous(), r[..., columns]


def _check_determined(levels: Sequence[Level], core: Tensor) -> None:
    """Refuse a triangle with zeros on its diagonal, to the precision of its dtype."""
    diagonals = [level.triangle.diagonal(dim1=-2, dim2=-1).abs() for level in levels]
    diagonals.append(core.diagonal(dim1=-2, dim2=-1).abs().unsqueeze(1))
    largest = float(torch.stack([d.amax() for d in diagonals]).amax())
    smallest = float(torch.stack([d.amin() for d in diagonals]).amin())
    if not smallest > largest * torch.finfo(core.dtype).eps:  # NaN is refused as well
        raise EquationError(
            "the equations leave a state undetermined, or hold NaN: the triangular factor has "
            f"{smallest:.3g} beside {largest:.3g} on its diagonal in {core.dtype}; give as many "
            "initial values as the order asks for, an equation for every dimension, or float64"
        )


def _solved(triangle: Tensor, rhs: Tensor, *, transposed: bool = False) -> Tensor:
    """`R x = rhs`, or `R^T x = rhs`, for upper triangles R `[..., K, K]` and rhs `[..., K]`."""
    matrix = triangle.mT if transposed else triangle
    solve = torch.linalg.solve_triangular
    return solve(matrix, rhs.unsqueeze(-1), upper=not transposed).squeeze(-1)
