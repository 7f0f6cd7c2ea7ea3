"""The spike tracer: it sends while it listens, takes spikes back, and ends at the rounded count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spikewright.checks import whole_number
from spikewright.neurons.layer import Layer, LayerLaw
from spikewright.neurons.neuron import Neuron, Spelling, StreamingDynamics
from spikewright.neurons.registry import register
from spikewright.neurons.rounding import Rounding
from spikewright.neurons.two_phase import TwoPhase
from spikewright.neurons.work import Work

_MEANINGS = {
    Rounding.NEAREST: "rounded to nearest",
    Rounding.UNBIASED: "rounded up or down by a chance drawn once a neuron, right on average",
}


@register
@dataclass(frozen=True)
class SpikeTracer(Neuron):
    """Sends one spike a step, +1 or -1, towards the rounded value of what arrived so far.

    At step t, with m the mean current so far and n = min(t, T),

        target = clip(round(n f(m) / theta), 0, T)          (from -T where counts have signs)
        spike  = clip(target - count so far, -1, 1)

    After T steps the input and every bias end, and the network runs on until no neuron owes a
    spike. Then m is the mean current of the window, whatever the order in which it came, so every
    count is that of the two-phase neuron of the same rounding, without its wait. This is the ST-BIF
    neuron (You et al., SpikeZIP-TF, ICML 2024), from whose update it differs in form alone,
    for any function f: of one charge, or of the charges of a group.

    Args:
        rounding: "nearest", or "unbiased", whose draw is made once a neuron and sample, so that
            it too ends at the count that `TwoPhase("unbiased")` has with the same seed.
        settle: the most steps that it runs on after the window; None for as many as it takes, which
            alone makes the settled answer certain, so that the count engine may give it.

    Raises:
        ValueError: for another rounding or a negative `settle`.
    """

    rounding: Rounding | str = Rounding.NEAREST
    settle: int | None = None

    def __post_init__(self) -> None:
        rounding = Rounding(self.rounding)
        object.__setattr__(self, "rounding", rounding)
        if rounding not in _MEANINGS:
            raise ValueError(
                "a spike tracer rounds to 'nearest' or is 'unbiased': the paper's rounding, "
                "'bernoulli', draws for every spike that leaves, and a tracer takes spikes back"
            )
        if self.settle is not None:
            settle = whole_number(self.settle, least=0)
            if settle is None:
                raise ValueError(
                    f"settle is a number of time steps from 0, or None, got {self.settle!r}"
                )
            object.__setattr__(self, "settle", settle)

    @property
    def label(self) -> str:
        name = "tracer" if self.rounding is Rounding.NEAREST else f"tracer, {self.rounding}"
        return name if self.settle is None else f"{name}, {self.settle} to settle"

    @property
    def meaning(self) -> str:
        return (
            "spike tracer, one phase: it sends while it listens and takes spikes back, towards the "
            f"charge {_MEANINGS[Rounding(self.rounding)]}."
        )

    @property
    def waits(self) -> bool:
        return False

    @property
    def stochastic(self) -> bool:
        return self._two_phase.stochastic

    @property
    def has_count_law(self) -> bool:
        return self.settle is None

    @property
    def takes_any_unit(self) -> bool:
        return True

    @property
    def bits(self) -> int:
        """A spike, a spike taken back, or none."""
        return 2

    @property
    def settling(self) -> int | None:
        return self.settle

    @property
    def takes_back(self) -> bool:
        return True

    @property
    def settled(self) -> Neuron:
        return replace(self, settle=None) if self.settle else self

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        return self._two_phase.expected_count(charge, steps)

    @property
    def evenly_driven(self) -> Neuron:
        return self._two_phase.evenly_driven if type(self) is SpikeTracer else self

    def count(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        if not self.has_count_law:
            return super().count(charge, layer)
        return self.target(charge, layer)

    def target(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        """The count that it goes towards, for the charge of what arrived so far; see `count`."""
        return self._two_phase.count(charge, layer)

    def start(self, layer: Layer) -> StreamingDynamics:
        return _TracerDynamics(self, layer)

    def work(self, steps: int) -> Work:
        """An update and two comparisons a step, and the draw of the rounding."""
        return Work(updates=steps, comparisons=2 * steps, draws=self.stochastic)

    @property
    def settling_work(self) -> Work:
        return Work(updates=1, comparisons=2)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        return {"tracer": _spelled}

    @classmethod
    def variants(cls) -> Sequence[Neuron]:
        return (cls(), cls(Rounding.UNBIASED), cls(settle=1))

    @property
    def _two_phase(self) -> TwoPhase:
        """The neuron at whose count it ends."""
        return TwoPhase(self.rounding)


def _spelled(option: str | None, one_phase: Any) -> Neuron:
    if option is None:
        return SpikeTracer()
    if option.isdecimal():
        return SpikeTracer(settle=int(option))
    roundings = [str(rounding) for rounding in _MEANINGS]
    if option not in roundings:
        raise ValueError(
            f"after 'tracer:' stands a rounding ({', '.join(roundings)}) or the most steps that it "
            f"settles, not '{option}'"
        )
    return SpikeTracer(option)


class _TracerDynamics(StreamingDynamics):
    def __init__(self, neuron: SpikeTracer, layer: Layer) -> None:
        self._neuron = neuron
        self._layer = layer
        self._arrived = torch.zeros_like(layer.threshold) + layer.potential
        self._sent = torch.zeros_like(layer.threshold)
        self._target = self._sent
        self._step = 0

    @property
    def residual(self) -> Tensor:
        return self._charge - self._sent

    @property
    def owes(self) -> bool:
        return bool(((self._target - self._sent).abs() > 0).any())  # NaN has no spike to send

    def advance(self, current: Tensor) -> Tensor:
        train: list[Tensor] = []
        for arriving in current.unbind(0):
            self._arrived = self._arrived + arriving
            self._step += 1
            self._target = self._neuron.target(self._charge, self._layer)
            spikes = (self._target - self._sent).clamp(-1, 1)
            self._sent = self._sent + spikes
            train.append(spikes)
        return torch.stack(train)

    @property
    def _charge(self) -> Tensor:
        """The function of what arrived so far, in counts."""
        if self._layer.function is None:
            return self._arrived / self._layer.threshold
        steps = max(1, min(self._step, self._layer.steps))
        return self._layer.function(self._arrived / steps) * (steps / self._layer.threshold)
