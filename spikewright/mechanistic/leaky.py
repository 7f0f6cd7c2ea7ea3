"""The membrane of a leaky integrate-and-fire neuron as a differential equation, and step by step.

Between spikes the potential v follows a linear equation; a spike takes the threshold theta off:

    tau v' = I - v,     v jumps by -theta where a spike is sent.

When spikes are known, so are the jumps, and the whole trace is one linear problem: solved on all
time steps at once, with gradients of time constants and currents. *Where* the potential crosses the
threshold is not linear in it, so spikes come from a simulation or a recording.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.errors import EquationError
from spikewright.mechanistic.solver import ODESolver


def simulated_membrane(
    current: Tensor, time_constant: Tensor, *, threshold: float = 1.0, step: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Leaky integrate-and-fire neurons step by step, exactly for currents that hold over a step.

        v <- a v + (1 - a) I[t],  a = exp(-step / tau)
        s[t] = 1 and v <- v - theta, where v >= theta

    Args:
        current: I `[B, T]`, in units of potential; the neurons start at v = 0.
        time_constant: tau `[B]`, above 0, in units of time.
        threshold: theta, above 0.
        step: a time step, above 0, in units of time.

    Returns:
        The potentials after every time step, and the spikes, 0 or 1: `[B, T]` each.

    Raises:
        EquationError: for shapes that do not fit, or numbers that are not above 0.

    Example:
        >>> v, spikes = simulated_membrane(torch.full((1, 50), 1.5), torch.tensor([10.0]))
        >>> int(spikes.sum())
        4
    """
    _check(current, time_constant, threshold, step)
    kept = torch.exp(-step / time_constant)
    v = torch.zeros_like(time_constant)
    potentials: list[Tensor] = []
    spikes: list[Tensor] = []
    for received in current.unbind(1):
        v = kept * v + (1 - kept) * received
        sent = (v >= threshold).to(v.dtype)
        v = v - threshold * sent
        potentials.append(v)
        spikes.append(sent)
    return torch.stack(potentials, 1), torch.stack(spikes, 1)


def membrane(
    current: Tensor,
    time_constant: Tensor,
    spikes: Tensor,
    *,
    threshold: float = 1.0,
    step: float = 1.0,
    order: int = 3,
) -> Tensor:
    """The potentials of the same neurons as the solution of their equation, given their spikes.

    The equation stands on the grid with its first O - 1 derivatives. A jump of v by -theta and one
    of the current by D make v' jump by (D + theta) / tau, and each further derivative by -1 / tau
    of the one before it.

    Args:
        current: I `[B, T]`.
        time_constant: tau `[B]`, above 0. It and the current may ask for gradients.
        spikes: 0 or 1, `[B, T]`.
        threshold: theta, above 0.
        step: a time step, above 0, in units of time.
        order: O, at least 1: the error of a step falls as (step / tau)^(O + 1).

    Returns:
        v `[B, T]`, after every time step.

    Raises:
        EquationError: for shapes that do not fit, or numbers that are not in their range.

    Example:
        >>> current, tau = torch.rand(1, 50).double() * 3, torch.tensor([20.0]).double()
        >>> v, spikes = simulated_membrane(current, tau)
        >>> float((membrane(current, tau, spikes) - v).abs().max()) < 1e-5
        True
    """
    _check(current, time_constant, threshold, step)
    if spikes.shape != current.shape:
        raise EquationError(
            f"spikes have the shape of the current, {tuple(current.shape)}, got "
            f"{tuple(spikes.shape)}"
        )
    if order < 1:
        raise EquationError(f"the order of the membrane's Taylor series is at least 1, got {order}")
    batch, steps = current.shape
    tau = time_constant[:, None]
    grid = torch.cat([current, current[:, -1:]], 1)
    jumps = [-threshold * spikes.to(current.dtype)]
    jumps.append((grid.diff(dim=1) - jumps[0]) / tau)
    for _ in range(order - 1):
        jumps.append(-jumps[-1] / tau)
    rows = torch.eye(order, order + 1, dtype=tau.dtype, device=tau.device)
    coefficients = rows + tau[..., None] * rows.roll(1, 1)
    constants = torch.cat([grid[..., None], grid.new_zeros(batch, steps + 1, order - 1)], 2)
    u = ODESolver()(
        coefficients[:, None, :, None],
        constants,
        grid.new_zeros(1, 1, 1),
        step,
        torch.stack(jumps, -1)[:, :, None],
    )
    return u[:, 1:, 0, 0]


def _check(current: Tensor, time_constant: Tensor, threshold: float, step: float) -> None:
    if current.ndim != 2 or time_constant.shape != current.shape[:1]:
        raise EquationError(
            "current [B, T] goes with a time constant [B], got "
            f"{tuple(current.shape)} and {tuple(time_constant.shape)}"
        )
    if not (threshold > 0 and step > 0 and bool(torch.all(time_constant > 0))):
        raise EquationError(
            f"threshold ({threshold}), step ({step}) and every time constant must be above 0"
        )
