"""Activations made for conversion, registered as operators so that capture sees one node each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikewright.checks import is_finite, whole_number

MINIMUM_THRESHOLD = 1e-3
"""Where training keeps learned thresholds: a lambda of 0 or below means nothing."""


def _quantised(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    return (x * (levels / threshold) + 0.5).floor().clamp(0, levels) * (threshold / levels)


@torch.library.custom_op("spikewright::qcfs", mutates_args=())
def qcfs(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    """Quantization clip-floor-shift (Bu et al., ICLR 2022, arXiv 2303.04347).

        h(x) = lambda / L * clip(floor(x * L / lambda + 1/2), 0, L)

    Args:
        x: any shape, floating.
        threshold: lambda, a positive scalar tensor.
        levels: L, at least 1.

    Returns:
        Same shape and dtype as `x`.
    """
    return _quantised(x, threshold, levels)


@qcfs.register_fake
def _(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
    return torch.empty_like(x)


def _remember(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Any, ...], output: Tensor
) -> None:
    x, threshold, levels = inputs
    ctx.save_for_backward(x, threshold)
    ctx.levels = levels  # pyright: ignore[reportAttributeAccessIssue]


def _straight_through(
    ctx: torch.autograd.function.FunctionCtx, gradient: Tensor
) -> tuple[Tensor, Tensor, None]:
    """Gradients with the floor passed straight through, as the paper writes them.

    Where 0 <= x L / lambda + 1/2 <= L, dh/dx = 1 and dh/dlambda = (h - x) / lambda; above it 0 and
    1; below it 0 and 0. (The authors' code clips x before it rounds: 0 <= x <= lambda there.)
    """
    x, threshold = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    levels: int = ctx.levels  # pyright: ignore[reportAttributeAccessIssue]
    position = x * (levels / threshold) + 0.5
    inside = (position >= 0) & (position <= levels)
    output = position.floor().clamp(0, levels) / levels
    per_lambda = torch.where(inside, output - x / threshold, (position > levels).to(x.dtype))
    per_lambda = (gradient * per_lambda).sum(dtype=threshold.dtype).reshape(threshold.shape)
    return gradient * inside, per_lambda, None


qcfs.register_autograd(_straight_through, setup_context=_remember)


class _Traced(torch.autograd.Function):
    """`qcfs` for a compiler, which fuses what it can look into; the operator is closed to it."""

    @staticmethod
    def forward(x: Tensor, threshold: Tensor, levels: int) -> Tensor:
        return _quantised(x, threshold, levels)

    setup_context = staticmethod(_remember)
    backward = staticmethod(_straight_through)  # pyright: ignore[reportAssignmentType]


class QCFS(nn.Module):
    """The QCFS activation with a learned threshold, to train networks that convert without loss.

    Converted with `TwoPhase("nearest")`, `Learned()` thresholds and steps = levels, the spiking
    network computes the same function.

    Args:
        levels: L, quantisation levels above zero, at least 1.
        threshold: initial lambda, positive (the reference implementation starts at 8).

    Raises:
        ValueError: when levels or threshold is out of range.
    """

    def __init__(self, levels: int = 8, threshold: float = 8.0) -> None:
        super().__init__()
        whole = whole_number(levels, least=1)
        if whole is None:
            raise ValueError(f"QCFS needs at least 1 level, got {levels!r}; give a whole number")
        self.levels = whole
        self.threshold = _initial("QCFS", threshold)

    def forward(self, x: Tensor) -> Tensor:
        """`h(x)`, elementwise; same shape and dtype."""
        if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
            return _Traced.apply(x, self.threshold, self.levels)
        return qcfs(x, self.threshold, self.levels)

    def extra_repr(self) -> str:
        return f"levels={self.levels}, threshold={self.threshold.item():.4g}"


@torch.library.custom_op("spikewright::clipped_relu", mutates_args=())
def clipped_relu(x: Tensor, threshold: Tensor) -> Tensor:
    """ReLU with a ceiling (Deng & Gu, ICLR 2021, arXiv 2103.00476): `h(x) = clip(x, 0, theta)`.

    Args:
        x: any shape, floating.
        threshold: theta, a positive scalar tensor.

    Returns:
        Same shape and dtype as `x`.
    """
    return _clipped(x, threshold)


def _clipped(x: Tensor, threshold: Tensor) -> Tensor:
    return torch.minimum(x.clamp(min=0), threshold.to(x.dtype))


@clipped_relu.register_fake
def _(x: Tensor, threshold: Tensor) -> Tensor:
    return torch.empty_like(x)


def _remember_clip(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor], output: Tensor
) -> None:
    ctx.save_for_backward(*inputs)


def _clip_gradient(
    ctx: torch.autograd.function.FunctionCtx, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Inside the range dh/dx = 1; above it dh/dtheta = 1; all else is 0."""
    x, threshold = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    above = x > threshold
    per_theta = (gradient * above).sum(dtype=threshold.dtype).reshape(threshold.shape)
    return gradient * ((x >= 0) & ~above), per_theta


clipped_relu.register_autograd(_clip_gradient, setup_context=_remember_clip)


class _TracedClip(torch.autograd.Function):
    """`clipped_relu` for a compiler; autograd of a minimum would share the gradient at a tie."""

    @staticmethod
    def forward(x: Tensor, threshold: Tensor) -> Tensor:
        return _clipped(x, threshold)

    setup_context = staticmethod(_remember_clip)
    backward = staticmethod(_clip_gradient)  # pyright: ignore[reportAssignmentType]


class ClippedReLU(nn.Module):
    """A ReLU with a learned ceiling, and the shift that makes up for a floor in spike counts.

        h(x) = clip(x - theta / 2T, 0, theta)        (without the shift for shift_steps=None)

    A neuron that starts empty gives floor(x T / theta) spikes, on average half a spike less than
    x T / theta: a network trained with the shift expects just that. A neuron that starts at
    theta / 2, as `IntegrateFire` does by default, needs no shift.

    Args:
        threshold: initial theta, positive.
        shift_steps: T of the shift, at least 1, or None.

    Raises:
        ValueError: when an argument is out of range.

    Source: Deng & Gu, "Optimal Conversion of Conventional ANNs to SNNs", ICLR 2021.
    """

    def __init__(self, threshold: float = 8.0, shift_steps: int | None = None) -> None:
        super().__init__()
        steps = None if shift_steps is None else whole_number(shift_steps, least=1)
        if steps is None and shift_steps is not None:
            raise ValueError(
                f"ClippedReLU: shift_steps={shift_steps!r}; give at least 1, or None: a whole "
                "number of time steps"
            )
        self.shift_steps = steps
        self.threshold = _initial("ClippedReLU", threshold)

    def forward(self, x: Tensor) -> Tensor:
        """`h(x)`, elementwise; same shape and dtype."""
        if self.shift_steps is not None:
            x = x - self.threshold.to(x.dtype) / (2 * self.shift_steps)
        if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
            return _TracedClip.apply(x, self.threshold)
        return clipped_relu(x, self.threshold)

    def extra_repr(self) -> str:
        shift = "" if self.shift_steps is None else f", shift_steps={self.shift_steps}"
        return f"threshold={self.threshold.item():.4g}{shift}"


def _initial(activation: str, threshold: float) -> nn.Parameter:
    """A learned threshold as it starts, in the default dtype.

    Raises:
        ValueError: where it is no positive number, or none that this dtype holds.
    """
    dtype = torch.get_default_dtype()
    initial, held = float(threshold) if is_finite(threshold) else torch.nan, torch.finfo(dtype)
    if not held.tiny <= initial <= held.max:
        raise ValueError(
            f"{activation} needs a positive threshold, got {threshold!r}; give a finite number "
            f"that {dtype} holds"
        )
    return nn.Parameter(torch.tensor(initial))


def learned_thresholds(model: nn.Module) -> list[nn.Parameter]:
    """The thresholds of all activations of this module in a network, each once."""
    found = [m.threshold for m in model.modules() if isinstance(m, QCFS | ClippedReLU)]
    return list({id(parameter): parameter for parameter in found}.values())
