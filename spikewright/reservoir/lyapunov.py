"""Lyapunov exponents: how fast small differences between two states grow or shrink."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.reservoir.network import Reservoir


def lyapunov_spectrum(jacobians: Iterable[Tensor], *, skipped: int = 0) -> Tensor:
    """All Lyapunov exponents of a trajectory, from its Jacobians.

    An orthogonal frame is carried along, `Q R = J Q`, and an exponent is the mean logarithm of its
    diagonal entry of R (Benettin et al., Meccanica 1980).

    Args:
        jacobians: d state[t + 1] / d state[t], `[H, H]` floating, for t = 0, 1, ...
        skipped: how many first ones turn the frame and are not counted, at least 0.

    Returns:
        The exponents `[H]` per step, largest first. A singular Jacobian makes some of them
        minus infinity.

    Raises:
        AnalysisError: if no Jacobians are left to count.

    Example:
        >>> turn = torch.tensor([[0.0, -0.5], [0.5, 0.0]], dtype=torch.float64)
        >>> lyapunov_spectrum([turn] * 10).exp()
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    frame: Tensor | None = None
    total: Tensor | None = None
    count = 0
    for number, jacobian in enumerate(jacobians):
        carried = jacobian if frame is None else jacobian @ frame
        frame, triangle = torch.linalg.qr(carried)
        if number < skipped:
            continue
        grown = triangle.diagonal().abs().log()
        total = grown if total is None else total + grown
        count += 1
    if total is None:
        raise AnalysisError(f"no Jacobians are left to count after the first {skipped}")
    return (total / count).sort(descending=True).values


def smoothed_jacobians(
    reservoir: Reservoir, potentials: Tensor, *, width: float
) -> Iterator[Tensor]:
    """The Jacobians of a reservoir's potentials along one run, its spikes made smooth.

        du[t+1] / du[t] = diag(alpha) + (diag(1 - alpha) W - diag(theta)) diag(ds / du)

    A spike is a jump, which has no derivative. In its place stands that of a spike's probability
    under logistic noise, `ds / du = p (1 - p) / width` with `p = sigmoid((u - theta) / width)`.

    Args:
        reservoir: whose run it is.
        potentials: u `[T, H]`, of one run.
        width: of the noise, above 0, in units of potential.

    Yields:
        `[H, H]`, T of them.

    Raises:
        AnalysisError: for potentials of another shape, or a width that is not above 0.
    """
    if potentials.ndim != 2 or potentials.shape[1] != reservoir.neurons or not width > 0:
        raise AnalysisError(
            f"Jacobians need potentials [T, {reservoir.neurons}] of one run and a width above 0, "
            f"got {tuple(potentials.shape)} and {width}"
        )
    kept = torch.diag(reservoir.decay)
    passed = reservoir.felt_weights - torch.diag(reservoir.thresholds)
    for u in potentials:
        p = torch.sigmoid((u - reservoir.thresholds) / width)
        yield kept + passed * (p * (1 - p) / width)
