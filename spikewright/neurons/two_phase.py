"""Two-phase neurons: accumulate T steps of input, then emit; a rounding times an emission."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.neurons.emission import Emission
from spikewright.neurons.neuron import Layer, LayerLaw, Neuron, WaitingDynamics
from spikewright.neurons.random_order import RandomOrder
from spikewright.neurons.rounding import Rounding


@dataclass(frozen=True)
class TwoPhase(Neuron):
    """Accumulates the whole of its input from potential 0, then emits for T steps.

    Args:
        rounding: "bernoulli" (the paper's TPP), "unbiased" or "nearest".
        emission: "random", "burst", "late", "binary" or "first-spike"; the count is the same.

    Raises:
        ValueError: for any other name.
    """

    rounding: Rounding | str = Rounding.NEAREST
    emission: Emission | str = Emission.RANDOM

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounding", Rounding(self.rounding))
        object.__setattr__(self, "emission", Emission(self.emission))

    @property
    def label(self) -> str:
        name = "TPP" if self.rounding is Rounding.BERNOULLI else str(self.rounding)
        return name if self.emission is Emission.RANDOM else f"{name}, {self.emission}"

    @property
    def waits(self) -> bool:
        return True

    @property
    def stochastic(self) -> bool:
        return self.rounding is not Rounding.NEAREST

    @property
    def has_count_law(self) -> bool:
        return True

    @property
    def reads_law(self) -> bool:
        return self.rounding is Rounding.BERNOULLI

    def expected_count(self, charge: Tensor, levels: int) -> tuple[Tensor, Tensor]:
        return Rounding(self.rounding).expected_count(charge, levels)

    def start(self, layer: Layer) -> WaitingDynamics:
        if self.rounding is Rounding.BERNOULLI and self.emission is Emission.RANDOM:
            return _TppDynamics(layer)
        return _CountedDynamics(self, layer)

    def count(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        law = layer.law if isinstance(layer, LayerLaw) else None
        return Rounding(self.rounding).round(charge, layer.levels, layer.draws, law)

    def duration(self, levels: int) -> int:
        return Emission(self.emission).duration(levels)

    def step_weights(self, levels: int) -> Tensor:
        return Emission(self.emission).step_weights(levels)

    def spikes_of(self, count: Tensor) -> Tensor:
        return Emission(self.emission).spikes_of(count)


def TPP() -> TwoPhase:  # noqa: N802  (the neuron's name in its paper)
    """The paper's neuron, `TwoPhase("bernoulli", "random")` (arXiv 2502.14487)."""
    return TwoPhase(Rounding.BERNOULLI, Emission.RANDOM)


class _AccumulatingDynamics(WaitingDynamics):
    """Phase 1, common to all two-phase neurons."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._accumulated = torch.zeros_like(layer.threshold)

    @property
    def _charge(self) -> Tensor:
        """x, the total charge in units of the threshold."""
        return self._accumulated / self._layer.threshold

    def absorb(self, current: Tensor, weights: Tensor) -> None:
        for arriving, weight in zip(current, weights.tolist(), strict=True):
            self._accumulated = self._accumulated + arriving * weight


class _TppDynamics(_AccumulatingDynamics):
    """Phase 2 as the paper writes it: one Bernoulli draw a step on the charge that is left."""

    @property
    def residual(self) -> Tensor:
        return self._order.left

    def rewind(self) -> None:
        self._order = RandomOrder(self._charge, self._layer)

    def emit(self, steps: int) -> Tensor:
        return self._order.emit(steps)


class _CountedDynamics(_AccumulatingDynamics):
    """Phase 2 of the other neurons: the count is settled first, then written in spikes."""

    def __init__(self, neuron: TwoPhase, layer: Layer) -> None:
        super().__init__(layer)
        self._rounding = Rounding(neuron.rounding)
        self._code = CountEmitter(Emission(neuron.emission), layer)

    @property
    def residual(self) -> Tensor:
        return self._charge - self._count

    def rewind(self) -> None:
        self._count = self._rounding.round(self._charge, self._layer.levels, self._layer.draws)
        self._code.begin(self._count)

    def emit(self, steps: int) -> Tensor:
        return self._code.emit(steps)


class CountEmitter:
    """Writes settled counts in spikes, step by step."""

    def __init__(self, emission: Emission, layer: Layer) -> None:
        self._emission = emission
        self._layer = layer
        self._weights = emission.step_weights(layer.levels).tolist()

    def begin(self, count: Tensor) -> None:
        """Start emitting `count`, `[B, *S]`, from the first step."""
        self._count = count
        self._unsent = count
        random = self._emission is Emission.RANDOM
        self._order = RandomOrder(count, self._layer) if random else None
        self._step = 0

    def emit(self, steps: int) -> Tensor:
        """The next `steps` steps, `[steps, B, *S]`, 0 or 1."""
        if self._order is not None:
            return self._order.emit(steps)
        train: list[Tensor] = []
        for _ in range(steps):
            fires = self._emission.spikes_at(
                self._step, self._count, self._unsent, self._layer.levels
            )
            spikes = fires.to(self._count.dtype)
            self._unsent = self._unsent - spikes * self._weights[self._step]
            self._step += 1
            train.append(spikes)
        return torch.stack(train)
