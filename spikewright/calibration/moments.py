"""Least squares from sums alone: second moments of what is read, and of what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

PLACES = 4096
PLACES_PER_INPUT = 4
"""Places that are multiplied at once: so many for each input of a group, or those above if that is
fewer. With fewer still, adding up takes longer than multiplying."""

BLOCK = 512
"""Inputs whose products with those behind them are taken at once."""


@dataclass(frozen=True)
class Moments:
    """Sums over places of `x x'` and `r x'`, for each group of an operation.

    Attributes:
        squares: float64 `[G, K, K]`, of the inputs x; on the CPU, as all sums are.
        cross: float64 `[G, O, K]`, of the residuals r with the inputs.
        energy: float64 `[G]`, of the squares of the residuals.
        free: how many of the inputs, the last ones, have weights that no ridge holds back.
    """

    squares: Tensor
    cross: Tensor
    energy: Tensor
    free: int = 0

    def merge(self, other: Moments) -> None:
        """Take in the sums over other places."""
        self.squares.add_(other.squares)
        self.cross.add_(other.cross)
        self.energy.add_(other.energy)

    def solved(self, strengths: Tensor) -> Tensor:
        """The matrices W `[G, O, K]` that are least in `|r - W x|^2 + strength * m * |W|^2`.

        Args:
            strengths: positive, `[G]`, in units of m, the mean second moment of an input.
        """
        diagonal = self.squares.diagonal(dim1=-2, dim2=-1)
        held = torch.ones_like(diagonal)
        held[:, held.shape[1] - self.free :] = 0
        mean = (diagonal * held).sum(-1) / held.sum(-1).clamp(min=1)
        ridge = (strengths * mean).clamp(min=torch.finfo(torch.float64).tiny)
        held_back = self.squares.clone()
        held_back.diagonal(dim1=-2, dim2=-1).add_(ridge[:, None] * held)
        return torch.cholesky_solve(self.cross.mT, torch.linalg.cholesky(held_back)).mT

    def error(self, matrices: Tensor) -> Tensor:
        """`|r - W x|^2` summed over the places, `[G]`, for W `[G, O, K]`."""
        explained = (matrices * self.cross).sum((1, 2))
        return self.energy - 2 * explained + ((matrices @ self.squares) * matrices).sum((1, 2))


class Places:
    """Takes in places a few at a time; its memory does not grow with their number.

    What is multiplied, in the dtype of the inputs, is their distance from the mean of the first
    places: of inputs that hardly vary, products about 0 would round away what they do vary.

    Args:
        groups, outputs, inputs: G, O and K of the operation.
        constant: whether a constant 1 is the last input, which no ridge holds back.
    """

    def __init__(self, groups: int, outputs: int, inputs: int, *, constant: bool = False) -> None:
        size = inputs + constant
        self._sums = Moments(
            torch.zeros(groups, size, size, dtype=torch.float64),
            torch.zeros(groups, outputs, size, dtype=torch.float64),
            torch.zeros(groups, dtype=torch.float64),
            int(constant),
        )
        self._inputs = inputs
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._middle: Tensor | None = None
        """The mean of the first places, `[G, 1, K]`."""
        self._distance = torch.zeros(groups, 1, inputs, dtype=torch.float64)
        """The sum over places of their distance from it."""
        self._count = 0

    def add(self, inputs: Tensor, residuals: Tensor) -> None:
        """Take in places: inputs `[G, P, K]` without the constant, residuals `[G, P, O]`."""
        self._waiting.append((inputs, residuals))
        places = sum(waiting.shape[1] for waiting, _ in self._waiting)
        if places >= min(PLACES, PLACES_PER_INPUT * self._inputs):
            self._multiply()

    def moments(self) -> Moments:
        """The sums over all places that came, to be asked for once: it takes in no others then."""
        if self._waiting:
            self._multiply()
        squares = self._sums.squares
        self._move_to_0()
        for start in range(0, squares.shape[-1], BLOCK):
            stop = start + BLOCK
            squares[:, stop:, start:stop] = squares[:, start:stop, stop:].mT
        return self._sums

    def _multiply(self) -> None:
        inputs, residuals = (
            parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            for parts in zip(*self._waiting, strict=True)
        )
        self._waiting = []
        middle = inputs.mean(1, keepdim=True) if self._middle is None else self._middle
        self._middle = middle
        sums, away = self._sums, inputs - middle
        for rows, right in self._upper_half():
            sums.squares[:, rows, right].add_((away[..., rows].mT @ away[..., right]).cpu())
        self._distance.add_(away.sum(1, keepdim=True).cpu())
        self._count += inputs.shape[1]
        sums.cross[..., : self._inputs].add_((residuals.mT @ inputs).cpu())
        sums.energy.add_(residuals.square().sum((1, 2)).cpu())
        if sums.free:
            sums.cross[..., -1].add_(residuals.sum(1).cpu())

    def _upper_half(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of the squares of inputs, without most of the half that is the same."""
        for start in range(0, self._inputs, BLOCK):
            yield slice(start, min(start + BLOCK, self._inputs)), slice(start, self._inputs)

    def _move_to_0(self) -> None:
        """Make moments about 0 of those about the mean of the first places."""
        if self._middle is None:
            return
        sums, middle, own = self._sums, self._middle.double().cpu(), slice(self._inputs)
        total = self._distance + self._count * middle
        for rows, right in self._upper_half():
            sums.squares[:, rows, right].add_(middle[..., rows].mT @ total[..., right])
            sums.squares[:, rows, right].add_(self._distance[..., rows].mT @ middle[..., right])
        if sums.free:
            sums.squares[:, own, -1] = sums.squares[:, -1, own] = total[:, 0]
            sums.squares[:, -1, -1] = self._count


def chosen_ridge(fitted: Moments, held_out: Moments, strengths: Tensor) -> Tensor:
    """The matrices of all places, with the ridge that serves places held out best; `[G, O, K]`.

    Where every ridge makes those worse than no change, that is 0.

    Args:
        fitted: places to solve with, which take in the others then.
        held_out: other places.
        strengths: to choose from for each group, positive, `[S]`.
    """
    groups = len(fitted.energy)
    errors = [held_out.energy]
    errors += [held_out.error(fitted.solved(one.expand(groups))) for one in strengths]
    best = torch.stack(errors).argmin(0)
    fitted.merge(held_out)
    return fitted.solved(strengths[(best - 1).clamp(min=0)]) * (best > 0)[:, None, None]
