"""SRP: neurons that look back on a rehearsal, and stay silent if it left them below zero.

Unevenness makes a one-phase neuron fire although the ANN's activation is zero: spikes that excite
it came first, those that inhibit it later, and a spike cannot be taken back. Such a neuron ends
with a negative potential, so the network is run twice: the potentials after the first run tell who
is silenced in the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spikewright.checks import is_finite, whole_number
from spikewright.neurons.integrate_fire import IntegrateFire, Reset
from spikewright.neurons.layer import Layer
from spikewright.neurons.neuron import Neuron, Spelling, StreamingDynamics, rehearsing
from spikewright.neurons.registry import register
from spikewright.neurons.work import Work


@register
@dataclass(frozen=True)
class SRP(Neuron):
    """One-phase neuron that its residual potential may silence (Hao et al., arXiv 2302.02091).

    The network runs for tau steps and every neuron keeps its potential v[tau]; all then start anew
    and run for T steps, in which

        s[t] = s_IF[t]  if v[tau] > margin * theta,  else 0.

    Only the T steps count, but the answer takes tau + T, and the spikes of the rehearsal are
    counted among those sent.

    Args:
        tau: steps of the rehearsal, at least 1 (the paper takes 4 on CIFAR, 8 and 14 on ImageNet).
        neuron: the integrate-and-fire neuron with soft reset that runs in both.
        margin: in thresholds, from 0 to below 1. The paper silences negative potentials; the
            authors' program takes 1e-3, so that a neuron at zero is silent too.

    Raises:
        ValueError: for tau or margin out of range, and for another neuron.
    """

    tau: int = 4
    neuron: IntegrateFire = field(default_factory=IntegrateFire)
    margin: float = 1e-3

    def __post_init__(self) -> None:
        tau = whole_number(self.tau, least=1)
        if tau is None:
            raise ValueError(f"tau must be a whole number of steps, at least 1, got {self.tau!r}")
        object.__setattr__(self, "tau", tau)
        if not isinstance(self.neuron, IntegrateFire) or self.neuron.reset is not Reset.SOFT:
            raise ValueError(
                "SRP silences IntegrateFire neurons of soft reset, as a hard one leaves nothing of "
                f"the charge that it looks for, got {self.neuron!r}"
            )
        if not (is_finite(self.margin) and 0 <= self.margin < 1):
            raise ValueError(f"margin lies in [0, 1) thresholds, got {self.margin!r}")

    @property
    def label(self) -> str:
        inner = "" if self.neuron == IntegrateFire() else f" of {self.neuron.label}"
        return f"SRP{inner}, tau {self.tau}"

    @property
    def meaning(self) -> str:
        return (
            f"{self.neuron.label}, silent where a rehearsal of {self.tau} steps left its potential "
            "below zero (arXiv 2302.02091)."
        )

    @property
    def waits(self) -> bool:
        return False

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def rehearsal(self) -> int:
        return self.tau

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """As the neuron inside: no silencing is expected.

        Charge that comes evenly silences a neuron whose rehearsal it leaves within the margin: by
        the default margin one charge in a thousand, from a v0 below 0 or by a larger margin many.
        In networks charge comes unevenly, and thresholds and corrections that expect those gaps
        are no better for it.
        """
        return self.neuron.expected_count(charge, steps)

    def step_weights(self, steps: int) -> Tensor:
        weights = torch.ones(self.duration(steps), dtype=torch.float64)
        weights[: self.tau] = 0
        return weights

    def work(self, steps: int) -> Work:
        """An update and a comparison a step of both runs, and one look back on the rehearsal."""
        return Work(updates=self.duration(steps), comparisons=self.duration(steps) + 1)

    def start(self, layer: Layer) -> StreamingDynamics:
        return _SilencedDynamics(self, layer)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        return {"srp": rehearsing("srp", "tau", cls)}

    @classmethod
    def variants(cls) -> Sequence[Neuron]:
        return (cls(3), cls(1, IntegrateFire(v0=0.25)))


class _SilencedDynamics(StreamingDynamics):
    def __init__(self, neuron: SRP, layer: Layer) -> None:
        self._neuron = neuron
        self._layer = layer
        self._inner = neuron.neuron.start(layer)
        self._left = neuron.tau
        self._heard = torch.ones_like(layer.threshold)
        self._withheld = torch.zeros_like(layer.threshold)

    @property
    def residual(self) -> Tensor:
        return self._inner.residual + self._withheld

    def advance(self, current: Tensor) -> Tensor:
        rehearsed = min(self._left, len(current))
        train: list[Tensor] = []
        if rehearsed:
            train.append(self._inner.advance(current[:rehearsed]))
            self._left -= rehearsed
            if self._left == 0:
                self._begin()
        if rehearsed < len(current):
            spikes = self._inner.advance(current[rehearsed:])
            train.append(spikes * self._heard)
            self._withheld = self._withheld + (spikes - train[-1]).sum(dim=0)
        return torch.cat(train)

    def _begin(self) -> None:
        """The rehearsal is over: keep who may be heard, and start anew."""
        residual = self._inner.residual
        self._heard = (residual > self._neuron.margin).to(residual.dtype)
        self._inner = self._neuron.neuron.start(self._layer)
