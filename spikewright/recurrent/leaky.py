"""The leaky potential that all neurons with state share: one time step."""

from __future__ import annotations

from torch import Tensor


def leaky_step(
    potential: Tensor,
    spikes: Tensor,
    current: Tensor,
    decay: Tensor,
    threshold: Tensor | float,
) -> Tensor:
    """Leak, take up a current, and give off the threshold of the spike before (soft reset).

        u <- alpha u + (1 - alpha) I - theta s

    Args:
        potential: u `[B, H]`.
        spikes: s `[B, H]`, 0 or 1, of the step before.
        current: I `[B, H]`, in units of potential.
        decay: alpha `[H]`, in 0 .. 1: exp(-1 / tau) for a time constant tau in steps.
        threshold: theta, of all neurons or `[H]` or `[B, H]`.

    Returns:
        u `[B, H]` after the step.
    """
    return decay * potential + (1 - decay) * current - threshold * spikes
