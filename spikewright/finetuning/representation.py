"""What a layer of spiking neurons is to a gradient: the value of its spike train, as one function.

The value that a neuron sends over its window, `s = theta / L * count`, stands close to

    clamp(v, 0, theta),    v = f(mean current),

clipped from -theta where counts have signs. The forward pass takes the real count, whatever the
neuron's dynamics; the backward pass differentiates this representation. No step of the window is
kept, so memory does not grow with T (DSR: Meng et al., CVPR 2022, arXiv 2205.00459).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import torch
from torch import Tensor


class Surrogate(StrEnum):
    """The function whose gradient stands for that of a layer of spiking neurons."""

    CLIPPED = "clipped"
    """`clamp(v, 0, theta)`: theta learns from values above it alone (DSR)."""
    ROUNDED = "rounded"
    """The same with rounding passed straight through: theta learns from rounding errors too, by
    `(s - v) / theta` (LSQ: Esser et al., ICLR 2020; QCFS: Bu et al., ICLR 2022)."""
    ACTIVATION = "activation"
    """The ANN's own activation of the mean current; theta learns nothing (tandem learning)."""


class _Representation(torch.autograd.Function):
    """`representation`, whose docstring has its equations."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, threshold: Tensor, sent: Tensor, signed: bool, rounded: bool
    ) -> Tensor:
        ctx.save_for_backward(value, threshold, sent if rounded else None)
        ctx.signed = signed
        return sent.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        value, threshold, sent = ctx.saved_tensors
        above = value > threshold
        below = value < (-threshold if ctx.signed else 0)
        inside = ~(above | below)
        slope = above.to(value.dtype)
        if ctx.signed:
            slope = slope - below.to(value.dtype)
        if sent is not None:
            slope = slope + inside * (sent - value) / threshold
        return gradient * inside, (gradient * slope).sum_to_size(threshold.shape), None, None, None


def representation(
    value: Tensor, threshold: Tensor, sent: Tensor, *, signed: bool, surrogate: Surrogate
) -> Tensor:
    """The values `sent`, with the gradient of the spike representation.

    With v the value and s what was sent, for v inside 0..theta (-theta..theta if signed):

        ds/dv = 1,    ds/dtheta = 0 (clipped) or (s - v) / theta (rounded);

    above it ds/dv = 0 and ds/dtheta = 1; below it 0 and 0, or 0 and -1 if signed.

    Args:
        value: v, f of the mean current over the window, `[B, *S]`.
        threshold: theta, the largest value that can be sent, positive, broadcastable.
        sent: s, what the neurons sent on average, `[B, *S]`; no gradient passes through it.
        signed: whether counts have signs.
        surrogate: `CLIPPED` or `ROUNDED`.

    Example:
        >>> v, theta = torch.tensor([[-1.0, 0.4, 3.0]], requires_grad=True), torch.tensor([[1.0]])
        >>> s = torch.tensor([[0.0, 0.5, 1.0]])
        >>> representation(v, theta, s, signed=False, surrogate=Surrogate.CLIPPED).sum().backward()
        >>> v.grad
        tensor([[0., 1., 0.]])
    """
    rounded = surrogate is Surrogate.ROUNDED
    result: Any = _Representation.apply(value, threshold, sent.detach(), signed, rounded)
    return result
