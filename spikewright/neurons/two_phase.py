"""Two-phase neurons: accumulate the input of a window, then emit; a rounding times a code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from spikewright.checks import whole_number
from spikewright.errors import ConversionError
from spikewright.neurons.codes import Code, Rate, code_of, codes
from spikewright.neurons.integrate_fire import IntegrateFire
from spikewright.neurons.layer import Layer, LayerLaw
from spikewright.neurons.neuron import Neuron, Spelling, WaitingDynamics
from spikewright.neurons.random_order import RandomOrder
from spikewright.neurons.registry import WINDOW_IN_LABEL, register
from spikewright.neurons.rounding import Rounding
from spikewright.neurons.work import Work

MOST_LEVELS = 2**24
"""Up to here float32 holds every whole number, so counts are exact."""

_SPELLED = {"tpp": Rounding.BERNOULLI, **{str(rounding): rounding for rounding in Rounding}}


_MEANINGS = {
    Rounding.BERNOULLI: "listening and then sending; spikes by chance (arXiv 2502.14487)",
    Rounding.UNBIASED: "charge rounded up or down by chance, right on average",
    Rounding.NEAREST: "charge rounded to nearest",
}


@register
@dataclass(frozen=True)
class TwoPhase(Neuron):
    """Accumulates the whole of its input from potential 0, then emits for T steps.

    Its count is `round(x)` in 0..L, with L = `code.levels(T)`; the code writes the count in spikes.
    Where the layer is signed, the magnitude is rounded and written so, and its spikes have the sign
    of x.

    Args:
        rounding: "bernoulli" (the paper's TPP), "unbiased" or "nearest".
        code: "random", "burst", "late", "binary", "first-spike" or "digits", or a `Code`. In T
            steps the binary code counts to 2**T - 1 and the digits code to 2**9, the others to T.
            The count is written without loss, but for the digits code: its count is what T digits
            say of the rounded charge.
        steps: T of its own window, at least 1, whatever T the network runs at; None for that T. So
            the layers of one network may take windows of different lengths.

    Raises:
        ValueError: for any other name, steps below 1, and for a code that rounds with another
            rounding than "nearest".
    """

    rounding: Rounding | str = Rounding.NEAREST
    code: Code | str = "random"
    steps: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounding", Rounding(self.rounding))
        object.__setattr__(self, "code", code_of(self.code))
        if self.steps is not None:
            steps = whole_number(self.steps, least=1)
            if steps is None:
                raise ValueError(
                    "steps is a whole number of time steps, at least 1, or None, got "
                    f"{self.steps!r}"
                )
            object.__setattr__(self, "steps", steps)
        if not self._code.carries_all and self.rounding is not Rounding.NEAREST:
            raise ValueError(
                f"the code '{self._code.name}' rounds to what its digits say, so that no other "
                f"rounding keeps its law: give 'nearest' with it, not '{self.rounding}'"
            )

    @property
    def label(self) -> str:
        name = "TPP" if self.rounding is Rounding.BERNOULLI else str(self.rounding)
        name = name if self.code == Rate() else f"{name}, {self._code.name}"
        return name if self.steps is None else f"{name}{WINDOW_IN_LABEL}{self.steps}"

    @property
    def meaning(self) -> str:
        words = f"two phases, {_MEANINGS[Rounding(self.rounding)]}"
        words = words if self.code == Rate() else f"{words}; {self._code.meaning}"
        return f"{words}." if self.steps is None else f"{words}; its window is {self.steps} steps."

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
    def takes_any_unit(self) -> bool:
        return True

    @property
    def reads_law(self) -> bool:
        return self.rounding is Rounding.BERNOULLI

    @property
    def reads_steps(self) -> bool:
        return not self._code.carries_all and self.steps is None

    @property
    def bits(self) -> int:
        return self._code.bits

    @property
    def largest_spike(self) -> int:
        return self._code.largest_spike

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        mean, variance = Rounding(self.rounding).expected_count(charge, self.levels(steps))
        return self._code.carried(mean, self.window(steps)), variance

    @property
    def evenly_driven(self) -> Neuron:
        if type(self) is not TwoPhase or not isinstance(self.code, Rate) or self.steps is not None:
            return self
        nearest = self.rounding is Rounding.NEAREST
        return IntegrateFire(v0=0.5) if nearest else TwoPhase(self.rounding)

    def start(self, layer: Layer) -> WaitingDynamics:
        layer = replace(layer, steps=self.window(layer.steps))
        return (
            _TppDynamics(self, layer) if self._draws_every_step else _CountedDynamics(self, layer)
        )

    def count(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        if layer.signed:
            return charge.sign() * self._magnitude(charge.abs(), layer)
        return self._magnitude(charge, layer)

    def _magnitude(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        rounding = Rounding(self.rounding)
        if isinstance(layer, LayerLaw):
            reach = layer.levels * self._code.room
            rounded = rounding.round(charge, reach, layer.draws, layer.law)
        else:
            rounded = rounding.round(charge, self.reach(layer.steps), layer.draws)
        return self._code.carried(rounded, self.window(layer.steps))

    def window(self, steps: int) -> int:
        return steps if self.steps is None else self.steps

    def levels(self, steps: int) -> int:
        steps = self.window(steps)
        levels = self._code.levels(steps)
        if levels > MOST_LEVELS:
            raise ConversionError(
                f"'{self.label}' at T = {steps} would count beyond {MOST_LEVELS:,}, where float32 "
                "no longer holds every whole number: T is the number of time steps, and the binary "
                "code counts to 2**T - 1; give fewer steps"
            )
        return levels

    def reach(self, steps: int) -> int:
        return self.levels(steps) * self._code.room

    def step_weights(self, steps: int) -> Tensor:
        return self._code.step_weights(self.window(steps))

    def spikes_of(self, count: Tensor) -> Tensor:
        return self._code.spikes_of(count.abs())

    def work(self, steps: int) -> Work:
        """One rounding, and what writing the count takes; TPP draws both together, every step."""
        steps = self.window(steps)
        if self._draws_every_step:
            return Work(updates=steps, comparisons=steps, draws=steps)
        rounded = Work(updates=1, comparisons=1, draws=self.stochastic)
        return rounded + self._code.work(steps)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        return {name: partial(_spelled, rounding) for name, rounding in _SPELLED.items()}

    @classmethod
    def variants(cls) -> Sequence[Neuron]:
        return tuple(
            cls(rounding, code)
            for rounding in Rounding
            for code in codes().values()
            if code.carries_all or rounding is Rounding.NEAREST
        )

    @property
    def _code(self) -> Code:
        return code_of(self.code)

    @property
    def _draws_every_step(self) -> bool:
        return self.rounding is Rounding.BERNOULLI and self.code == Rate()


def TPP() -> TwoPhase:  # noqa: N802  (the neuron's name in its paper)
    """The paper's neuron, `TwoPhase("bernoulli", "random")` (arXiv 2502.14487)."""
    return TwoPhase(Rounding.BERNOULLI)


def _spelled(rounding: Rounding, code: str | None, one_phase: Any) -> Neuron:
    known = codes()
    if code is not None and code not in known:
        raise ValueError(f"the codes are {', '.join(known)}")
    return TwoPhase(rounding, known[code] if code else Rate())


class _AccumulatingDynamics(WaitingDynamics):
    """Phase 1, common to all two-phase neurons."""

    def __init__(self, neuron: TwoPhase, layer: Layer) -> None:
        self._neuron = neuron
        self._layer = layer
        self._accumulated = torch.zeros_like(layer.threshold)

    @property
    def _charge(self) -> Tensor:
        """x, the total charge in units of the threshold."""
        if self._layer.function is None:
            return self._accumulated / self._layer.threshold
        levels = self._neuron.levels(self._layer.steps)
        return self._layer.function(self._accumulated / levels) * (levels / self._layer.threshold)

    def absorb(self, current: Tensor, weights: Tensor) -> None:
        for arriving, weight in zip(current, weights.tolist(), strict=True):
            self._accumulated = self._accumulated + arriving * weight


class _TppDynamics(_AccumulatingDynamics):
    """Phase 2 as the paper writes it: one Bernoulli draw a step on the charge that is left."""

    @property
    def residual(self) -> Tensor:
        return self._signed(self._order.left)

    def rewind(self) -> None:
        charge = self._charge
        self._sign = charge.sign() if self._layer.signed else None
        self._order = RandomOrder(charge if self._sign is None else charge.abs(), self._layer)

    def emit(self, steps: int) -> Tensor:
        return self._signed(self._order.emit(steps))

    def _signed(self, magnitudes: Tensor) -> Tensor:
        return magnitudes if self._sign is None else magnitudes * self._sign


class _CountedDynamics(_AccumulatingDynamics):
    """Phase 2 of the other neurons: the count is settled first, then written in spikes."""

    def __init__(self, neuron: TwoPhase, layer: Layer) -> None:
        super().__init__(neuron, layer)
        self._code = code_of(neuron.code)

    @property
    def residual(self) -> Tensor:
        return self._charge - self._count

    def rewind(self) -> None:
        self._count = self._neuron.count(self._charge, self._layer)
        magnitude = self._count.abs() if self._layer.signed else self._count
        self._writer = self._code.write(magnitude, self._layer)

    def emit(self, steps: int) -> Tensor:
        magnitudes = self._writer.emit(steps)
        return magnitudes * self._count.sign() if self._layer.signed else magnitudes
