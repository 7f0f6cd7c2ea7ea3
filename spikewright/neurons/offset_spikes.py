"""COS: neurons that listen to a rehearsal, and start from a potential that makes up for its errors.

Unevenness makes a one-phase neuron send a spike too many, where spikes that excite it come first,
or one too few, where those that inhibit it do. The charge that is left tells which. A neuron that
has heard its input before it sends can start lower or higher by the potential that one spike takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from spikewright.checks import whole_number
from spikewright.neurons.integrate_fire import IntegrateFire, Reset
from spikewright.neurons.layer import Layer
from spikewright.neurons.neuron import (
    Neuron,
    Spelling,
    StreamingDynamics,
    WaitingDynamics,
    rehearsing,
)
from spikewright.neurons.registry import register
from spikewright.neurons.work import Work

_MARGIN = 1e-3
"""How far beyond the threshold a shift takes the potential that it moves, in thresholds."""


@register
@dataclass(frozen=True)
class COS(Neuron):
    """Offset spikes: a neuron whose start is calibrated (Hao et al., ICLR 2023, arXiv 2302.10685).

    A layer waits for its window of T steps. On the first rho of them it rehearses. Let r be the
    potential, in thresholds, that a neuron is then left with, less what iterations before this one
    moved it by; m the least potential with which it fired; M the largest potential that it was left
    with at a step without a spike:

        v[0] = (v0 - max(1, m - 0.999)) theta    if r < 0 and it fired,
               (v0 + max(1, 1.001 - M)) theta    if r >= 1 and it was once silent,
               v0 theta                          otherwise.

    It then runs from there on all T steps, from the first, and sends what that run fires. So the
    layer behind it rehearses on a train that is calibrated already.

    Args:
        rho: steps of the rehearsal, at least 1; all T where the window is shorter. The paper takes
            4 and 8.
        iterations: how often the rehearsal is repeated, each from the potential of the one before,
            at least 1; each moves one spike.
        neuron: the integrate-and-fire neuron with soft reset that runs in all of them.

    Raises:
        ValueError: for rho or iterations out of range, and neurons of another kind.
    """

    rho: int = 4
    iterations: int = 1
    neuron: IntegrateFire = field(default_factory=IntegrateFire)

    def __post_init__(self) -> None:
        for name, what in (("rho", "steps"), ("iterations", "rehearsals")):
            given = getattr(self, name)
            value = whole_number(given, least=1)
            if value is None:
                raise ValueError(
                    f"{name} must be a whole number of {what}, at least 1, got {given!r}"
                )
            object.__setattr__(self, name, value)
        if not isinstance(self.neuron, IntegrateFire) or self.neuron.reset is not Reset.SOFT:
            raise ValueError(f"COS takes IntegrateFire neurons of soft reset, got {self.neuron!r}")

    @property
    def label(self) -> str:
        inner = "" if self.neuron == IntegrateFire() else f" of {self.neuron.label}"
        times = "" if self.iterations == 1 else f", {self.iterations} iterations"
        return f"COS{inner}, rho {self.rho}{times}"

    @property
    def meaning(self) -> str:
        return (
            f"{self.neuron.label}, which starts a spike lower or higher where a rehearsal on the "
            f"first {self.rho} steps sent one too many or too few (arXiv 2302.10685)."
        )

    @property
    def waits(self) -> bool:
        return True

    @property
    def stochastic(self) -> bool:
        return False

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """As the neuron inside, which is exact for v0 of at least 0, whatever its shift.

        Where charge comes evenly, no rehearsal then sends a wrong spike. From a v0 below 0, charge
        of more than a threshold a step can leave a neuron silent at first and then behind; every
        rehearsal makes up for one spike at most, which this does not count.
        """
        return self.neuron.expected_count(charge, steps)

    @property
    def evenly_driven(self) -> Neuron:
        return self.neuron.evenly_driven if type(self) is COS else self

    def work(self, steps: int) -> Work:
        """An update and a comparison a step of all runs, and what a rehearsal looks at.

        That is one comparison a step, for m or M, and two at its end, with the charge left.
        """
        rehearsed = self.iterations * min(self.rho, steps)
        looking = rehearsed + 2 * self.iterations
        return Work(updates=rehearsed + steps, comparisons=rehearsed + steps + looking)

    def start(self, layer: Layer) -> WaitingDynamics:
        return _CalibratedDynamics(self, layer)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        return {"cos": rehearsing("cos", "rho", cls)}

    @classmethod
    def variants(cls) -> Sequence[Neuron]:
        return (cls(), cls(2, 3, IntegrateFire(v0=0.25)))


class _CalibratedDynamics(WaitingDynamics):
    """Currents are held until the rehearsal is over; then the run that is sent keeps up."""

    def __init__(self, neuron: COS, layer: Layer) -> None:
        self._neuron = neuron
        self._layer = layer
        self._rehearsed = min(neuron.rho, layer.steps)
        self._held: list[Tensor] = []
        self._running: StreamingDynamics | None = None
        self._shift: Tensor | float = 0.0
        self._train: list[Tensor] = []
        self._step = 0

    @property
    def residual(self) -> Tensor:
        assert self._running is not None
        return self._running.residual - self._shift

    def absorb(self, current: Tensor, weights: Tensor) -> None:
        if self._running is None:
            self._held.append(current)
            if sum(map(len, self._held)) < self._rehearsed:
                return
            current = torch.cat(self._held)
            self._held.clear()
            for _ in range(self._neuron.iterations):
                self._shift = self._shift + self._moved(current[: self._rehearsed])
            self._running = self._started()
        self._train.append(self._running.advance(current).bool())

    def rewind(self) -> None:
        self._train = [torch.cat(self._train)]
        self._step = 0

    def emit(self, steps: int) -> Tensor:
        spikes = self._train[0][self._step : self._step + steps]
        self._step += steps
        return spikes.to(self._layer.threshold.dtype)

    def _started(self) -> StreamingDynamics:
        """The neuron inside, from the potential that is reached so far."""
        potential = self._layer.potential + self._shift * self._layer.threshold
        return self._neuron.neuron.start(replace(self._layer, potential=potential))

    def _moved(self, current: Tensor) -> Tensor:
        """By how many thresholds a rehearsal `[rho, B, *S]` moves the start, `[B, *S]`."""
        run = self._started()
        least = torch.full_like(current[0], torch.inf)  # potential with which it fired
        largest = -least  # potential without a spike
        for arriving in current.split(1):
            fired = run.advance(arriving)[0] > 0
            left = run.residual
            least = least.minimum((left + 1).where(fired, torch.inf))
            largest = largest.maximum(left.where(~fired, -torch.inf))
        left = run.residual - self._shift
        surplus = (left < 0) & least.isfinite()
        missing = (left >= 1) & largest.isfinite()
        lower = (least - (1 - _MARGIN)).clamp(min=1).where(surplus, 0.0)
        higher = (1 + _MARGIN - largest).clamp(min=1).where(missing, 0.0)
        return higher - lower
