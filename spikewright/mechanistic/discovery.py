"""Equations found in data: which few terms of a library make the trajectory that was seen.

The derivatives of noisy samples are mostly noise. So no derivative is taken: each term of the
library is put to the right of u' = term and solved for u, which is linear in time. The samples are
then a sum of few of these solutions, and of where they began.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.errors import EquationError
from spikewright.mechanistic.solver import ODESolver


@dataclass(frozen=True)
class Discovered:
    """The equations `x_d' = sum_k coefficients[k, d] terms[k]`.

    Attributes:
        names: of the D variables.
        terms: K products of variables; "1" is the constant.
        coefficients: `[K, D]`, most of them 0, in units of the variables and of time.
        fit: R^2 of each variable's trajectory, at most 1, which it is of one that never changes:
            `[D]`.
    """

    names: tuple[str, ...]
    terms: tuple[str, ...]
    coefficients: Tensor
    fit: Tensor

    def __str__(self) -> str:
        return "\n".join(self._equation(number) for number in range(len(self.names)))

    def _equation(self, number: int) -> str:
        found = self.coefficients[:, number].tolist()
        parts = [
            f"{'-' if c < 0 else '+'} {abs(c):.3g}{'' if term == '1' else ' ' + term}"
            for c, term in zip(found, self.terms, strict=True)
            if c != 0
        ]
        return f"{self.names[number]}' = {' '.join(parts).removeprefix('+ ') or '0'}"


def discover(
    samples: Tensor,
    step: float,
    *,
    names: Sequence[str] = "xyz",
    degree: int = 2,
    cut: float = 0.1,
) -> Discovered:
    """Find the polynomial differential equations of a sampled trajectory.

    Coefficients below `cut` are taken out, and the rest is fitted again, until none is below
    (sequentially thresholded least squares). Of terms that the samples do not tell apart, such as
    x and x y where y stays the same, the smallest coefficients that fit are taken, and 0 of terms
    that are 0 throughout.

    Args:
        samples: `[N, D]`, finite, with N above the number of terms; best in float64.
        step: the time between two samples, above 0.
        names: of the D variables.
        degree: of the polynomials, at least 1.
        cut: the smallest size of a coefficient that stays, at least 0.

    Returns:
        The equations.

    Raises:
        EquationError: for samples, names or numbers that do not fit.

    Example:
        >>> time = torch.arange(200, dtype=torch.float64) * 0.05
        >>> print(discover(torch.stack([time.cos(), -time.sin()], 1), 0.05, names="xv", degree=1))
        x' = 1 v
        v' = - 1 x

    Source: thresholding after Brunton, Proctor, Kutz, PNAS 2016 (SINDy); solutions instead of
    derivatives after Chen et al., arXiv 2410.06074, section 4.2, which trains the coefficients.
    """
    if samples.ndim != 2 or samples.shape[1] != len(names):
        raise EquationError(
            f"samples have shape [N, {len(names)}], a column for each of the names {list(names)}, "
            f"got {tuple(samples.shape)}"
        )
    if not bool(samples.isfinite().all()):
        raise EquationError("samples hold NaN or infinite numbers; leave these times out")
    if degree < 1 or not cut >= 0:
        raise EquationError(f"degree is at least 1 and cut at least 0, got {degree} and {cut}")
    terms, values = library(samples, names, degree)
    if len(samples) <= len(terms):
        raise EquationError(
            f"{len(samples)} samples cannot settle {len(terms)} terms; give more, or a lower degree"
        )
    seen = responses(values, step)
    start = torch.ones_like(seen[:, :1])
    found = [_sparse(torch.cat([seen, start], 1), wanted, cut) for wanted in samples.unbind(1)]
    coefficients = torch.stack([c[:-1] for c in found], 1)
    solved = torch.cat([seen, start], 1) @ torch.stack(found, 1)
    around = samples - samples.mean(0)
    fit = 1 - (samples - solved).square().sum(0) / around.square().sum(0)
    still = (samples == samples[0]).all(0)
    return Discovered(tuple(names), terms, coefficients, fit.where(~still, 1.0))


def library(samples: Tensor, names: Sequence[str], degree: int) -> tuple[tuple[str, ...], Tensor]:
    """All products of at most so many variables: their names, and their values `[N, K]`."""
    chosen = [
        which
        for count in range(degree + 1)
        for which in itertools.combinations_with_replacement(range(len(names)), count)
    ]
    terms = tuple(" ".join(names[i] for i in which) or "1" for which in chosen)
    return terms, torch.stack([samples[:, list(which)].prod(1) for which in chosen], 1)


def responses(values: Tensor, step: float) -> Tensor:
    """The solutions of u' = value with u = 0 at first, for every column: `[N, K]` of `[N, K]`."""
    derivative = values.new_tensor([0.0, 1.0]).view(1, 1, 1, 1, 2)
    nothing = values.new_zeros(1, 1, 1)
    return ODESolver()(derivative, values.T.unsqueeze(-1), nothing, step)[:, :, 0, 0].T


def _sparse(columns: Tensor, wanted: Tensor, cut: float) -> Tensor:
    """Coefficients of columns `[N, K + 1]` for a sum `[N]`; none but the last below `cut`."""
    size = columns.norm(dim=0)
    alive = size > 0
    while True:
        found = torch.zeros_like(size)
        scaled = columns[:, alive] / size[alive]
        found[alive] = (
            torch.linalg.lstsq(scaled, wanted.unsqueeze(1)).solution.squeeze(1) / size[alive]
        )
        small = alive & (found.abs() < cut)
        small[-1] = False
        if not bool(small.any()):
            return found
        alive &= ~small
