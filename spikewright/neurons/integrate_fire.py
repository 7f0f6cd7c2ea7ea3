"""The integrate-and-fire neuron, the one-phase baseline of conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from spikewright.checks import is_finite
from spikewright.neurons.layer import Layer
from spikewright.neurons.neuron import (
    Neuron,
    Spelling,
    StepFunction,
    StreamingDynamics,
    plainly,
)
from spikewright.neurons.registry import register
from spikewright.neurons.work import Work


class Reset(StrEnum):
    """What a spike does to the membrane potential."""

    SOFT = "soft"
    """Subtract the threshold: the charge above it is kept."""
    HARD = "hard"
    """Return to zero: the charge above the threshold is lost."""


def integrate_fire_step(
    potential: Tensor, current: Tensor, threshold: Tensor, reset: Reset
) -> tuple[Tensor, Tensor]:
    """One time step: `v <- v + z`; spike where `v >= theta`; then reset.

    Args:
        potential: v, `[B, *S]`.
        current: z, same shape and unit.
        threshold: theta, broadcastable.
        reset: soft subtracts theta, hard returns to zero.

    Returns:
        Spikes (0 or 1) and the new potential, both `[B, *S]`.
    """
    potential = potential + current
    spikes = (potential >= threshold).to(potential.dtype)
    if reset is Reset.SOFT:
        return spikes, potential - spikes * threshold
    return spikes, potential * (1 - spikes)


def integrate_fire(
    potential: Tensor, current: Tensor, threshold: Tensor, reset: Reset
) -> tuple[Tensor, Tensor]:
    """`integrate_fire_step` for one step after the other.

    Args:
        potential: v, `[B, *S]`.
        current: z, `[t, B, *S]`.
        threshold: theta, broadcastable.
        reset: soft or hard.

    Returns:
        Spikes `[t, B, *S]` and the new potential.
    """
    train: list[Tensor] = []
    for arriving in current.unbind(0):
        spikes, potential = integrate_fire_step(potential, arriving, threshold, reset)
        train.append(spikes)
    return torch.stack(train), potential


@register
@dataclass(frozen=True)
class IntegrateFire(Neuron):
    """One-phase integrate-and-fire neuron: `v[0] = v0 * theta`, then `integrate_fire_step`.

    Args:
        reset: "soft" (default) or "hard".
        v0: initial potential in units of the threshold; 1/2 makes the count round to nearest when
            input arrives evenly (Bu et al., ICLR 2022).
        shift: `shift * theta / T` is added to the current of every step; 1/2 with v0 = 0 rounds
            alike, and charges gradually what v0 gives at once (Deng & Gu, ICLR 2021).

    Raises:
        ValueError: for another reset, v0 or shift not finite, or not below 1 together.
    """

    reset: Reset | str = Reset.SOFT
    v0: float = 0.5
    shift: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "reset", Reset(self.reset))
        if not is_finite(self.v0) or self.v0 >= 1:
            raise ValueError(f"v0 must be finite and below 1 (the threshold), got {self.v0!r}")
        if not is_finite(self.shift) or self.v0 + self.shift >= 1:
            raise ValueError(
                "shift must be finite, and v0 + shift below 1 (the threshold), or a neuron would "
                f"fire without input: got v0 = {self.v0}, shift = {self.shift!r}"
            )
        for name in ("v0", "shift"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def label(self) -> str:
        name = "IF" if self.reset is Reset.SOFT else "IF, hard reset"
        return f"{name}, shifted" if self.shift else name

    @property
    def meaning(self) -> str:
        lossy = "" if self.reset is Reset.SOFT else "; a spike throws the charge above it away"
        return f"integrate-and-fire, one phase: it sends while it listens{lossy}."

    @property
    def waits(self) -> bool:
        return False

    @property
    def stochastic(self) -> bool:
        return False

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """With a soft reset all charge counts; with a hard one every k-th step sends a spike.

        Where z thresholds of charge come at every step, the first spike is sent at step
        `ceil((1 - v0) / z)`, and k is `ceil(1 / z)`. From the first on, a soft reset sends at most
        one a step.
        """
        charge, none = charge + self.shift, torch.zeros_like(charge)
        per_spike = steps / charge.clamp(min=0)
        first = (per_spike * (1 - self.v0)).ceil()
        if self.reset is Reset.SOFT:
            most = (steps + 1 - first).where(charge > steps, none + steps)
            return (charge + self.v0).floor().minimum(most).clamp(min=0), none
        later = (steps - first).div(per_spike.ceil(), rounding_mode="floor")
        return (1 + later).where(first <= steps, none), none

    @property
    def evenly_driven(self) -> Neuron:
        if type(self) is not IntegrateFire or self.reset is Reset.HARD:
            return self
        if self.v0 and self.shift:  # their sum would be rounded otherwise
            return self
        if self.shift < 0:  # what v0 takes at once delays the first spike further
            return self
        return IntegrateFire(v0=self.v0 + self.shift)

    def work(self, steps: int) -> Work:
        """An update and a comparison a step."""
        return Work(updates=steps, comparisons=steps)

    @property
    def one_step(self) -> StepFunction:
        reset = Reset(self.reset)

        def step(potential: Tensor, current: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
            return integrate_fire_step(potential, current, threshold, reset)

        return step

    def initial(self, layer: Layer) -> tuple[Tensor, Tensor]:
        potential = self.v0 * layer.threshold + layer.potential
        return potential, self.shift * layer.threshold / layer.steps

    def start(self, layer: Layer) -> StreamingDynamics:
        return _IntegrateFireDynamics(self, layer)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        return {
            "if": plainly(lambda start: start),
            "if-hard": plainly(lambda start: replace(start, reset=Reset.HARD)),
        }

    @classmethod
    def variants(cls) -> Sequence[Neuron]:
        return (cls(), cls(Reset.HARD, v0=0.0), cls(v0=0.0, shift=0.5))


class _IntegrateFireDynamics(StreamingDynamics):
    def __init__(self, neuron: IntegrateFire, layer: Layer) -> None:
        self._reset = Reset(neuron.reset)
        self._threshold = layer.threshold
        self._run = layer.fuse(integrate_fire)
        self._potential, shift = neuron.initial(layer)
        self._shift = shift if neuron.shift else None

    @property
    def residual(self) -> Tensor:
        return self._potential / self._threshold

    def advance(self, current: Tensor) -> Tensor:
        if self._potential.shape != current.shape[1:]:
            self._potential = self._potential.expand(current.shape[1:]).contiguous()
        if self._shift is not None:
            current = current + self._shift
        spikes, self._potential = self._run(self._potential, current, self._threshold, self._reset)
        return spikes
