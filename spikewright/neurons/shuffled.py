"""Shuffled spike trains: the probe of temporal misalignment, and the controls beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import torch
from torch import Tensor

from spikewright.errors import wrong_kind
from spikewright.neurons.codes import Code, Rate
from spikewright.neurons.integrate_fire import IntegrateFire
from spikewright.neurons.layer import Layer
from spikewright.neurons.neuron import (
    Neuron,
    Spelling,
    StreamingDynamics,
    WaitingDynamics,
    plainly,
)
from spikewright.neurons.registry import register
from spikewright.neurons.work import Work

_ORDER_DRAW = -2
"""The step number of the draw that picks a shared permutation (count down from here)."""


class Order(StrEnum):
    """How the spikes of a train are rearranged in time; their number never changes."""

    INDEPENDENT = "independent"
    """The paper's probe: an independent uniform permutation per neuron and sample."""
    SHARED = "shared"
    """One uniform permutation per sample for the whole layer: order between neurons is kept."""
    EARLY = "early"
    """All spikes first."""
    LATE = "late"
    """All spikes last."""
    REVERSED = "reversed"
    """The train backwards in time."""


_REARRANGED = {
    Order.INDEPENDENT: Rate("random"),
    Order.EARLY: Rate("burst"),
    Order.LATE: Rate("late"),
}
"""Orders that forget the old one: a uniformly permuted 0/1 train is a uniformly random placement
of as many spikes, so the count alone tells its distribution."""


_MEANINGS = {
    Order.INDEPENDENT: "whose spikes leave each layer in a random order, their number unchanged",
    Order.SHARED: "with one random order for all neurons of a layer",
    Order.EARLY: "with all spikes of a neuron first",
    Order.LATE: "with all spikes of a neuron last",
    Order.REVERSED: "with every spike train backwards in time",
}


@register
@dataclass(frozen=True)
class Shuffled(Neuron):
    """A one-phase neuron whose finished train is permuted in time before it leaves.

    To shuffle chosen layers only, convert with the plain neuron and use
    `snn.with_neuron(Shuffled(...), sites=[...])`.

    Args:
        neuron: the one-phase neuron inside.
        order: "independent" (the paper's probe), or a control: "shared", "early", "late",
            "reversed".

    Raises:
        ValueError: for an unknown order, a neuron that waits (its code is its order), one that
            rehearses (its steps are of two kinds), one that takes spikes back, or what is no
            neuron.
    """

    neuron: Neuron = field(default_factory=IntegrateFire)
    order: Order | str = Order.INDEPENDENT

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", Order(self.order))
        if not isinstance(self.neuron, Neuron):
            wanted = "a one-phase neuron such as IntegrateFire()"
            raise ValueError(wrong_kind("neuron of Shuffled", wanted, self.neuron))
        if self.neuron.waits:
            raise ValueError(
                f"Shuffled takes a one-phase neuron, got {self.neuron.label}: the order in which a "
                "two-phase neuron emits is its code; choose TwoPhase(code=...) instead"
            )
        if self.neuron.takes_back:
            raise ValueError(
                f"Shuffled takes a neuron whose spikes stand, got {self.neuron.label}: what takes "
                "spikes back cannot hold them until the window ends; shuffle IntegrateFire() "
                "instead"
            )
        if self.neuron.rehearsal:
            raise ValueError(
                f"Shuffled takes a neuron whose steps all count, got {self.neuron.label}: spikes "
                "of its rehearsal would mix with those that count; shuffle IntegrateFire() instead"
            )

    @property
    def label(self) -> str:
        how = "shuffled" if self.order is Order.INDEPENDENT else str(self.order)
        return f"{how} {self.neuron.label}"

    @property
    def meaning(self) -> str:
        return f"{self.neuron.label} {_MEANINGS[Order(self.order)]}."

    @property
    def waits(self) -> bool:
        return True

    @property
    def stochastic(self) -> bool:
        return self.order in (Order.INDEPENDENT, Order.SHARED)

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        return self.neuron.expected_count(charge, steps)

    @property
    def evenly_driven(self) -> Neuron:
        return self.neuron.evenly_driven if type(self) is Shuffled else self

    def levels(self, steps: int) -> int:
        return self.neuron.levels(steps)

    def work(self, steps: int) -> Work:
        """What the neuron inside does, and what sending its spikes in another order takes."""
        order = "random" if self.order is Order.INDEPENDENT else "burst"
        return self.neuron.work(steps) + Rate(order).work(steps)

    def start(self, layer: Layer) -> WaitingDynamics:
        inner = self.neuron.start(layer)
        assert isinstance(inner, StreamingDynamics)
        code = _REARRANGED.get(Order(self.order))
        if code is not None:
            return _RearrangedDynamics(inner, code, layer)
        return _KeptDynamics(inner, Order(self.order), layer)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        names = {order: str(order) for order in Order} | {Order.INDEPENDENT: "shuffled"}
        return {name: plainly(partial(cls, order=order)) for order, name in names.items()}

    @classmethod
    def variants(cls) -> Sequence[Neuron]:
        return tuple(cls(order=order) for order in Order)


class _InnerDynamics(WaitingDynamics):
    """Phase 1: the inner neuron runs and fires; its spikes are held back."""

    def __init__(self, inner: StreamingDynamics) -> None:
        self._inner = inner

    @property
    def residual(self) -> Tensor:
        return self._inner.residual

    def absorb(self, current: Tensor, weights: Tensor) -> None:
        self._hold(self._inner.advance(current))

    def _hold(self, spikes: Tensor) -> None:
        raise NotImplementedError


class _RearrangedDynamics(_InnerDynamics):
    """Orders that need the count alone."""

    def __init__(self, inner: StreamingDynamics, code: Code, layer: Layer) -> None:
        super().__init__(inner)
        self._count = torch.zeros_like(layer.threshold)
        self._code = code
        self._layer = layer

    def _hold(self, spikes: Tensor) -> None:
        self._count = self._count + spikes.sum(dim=0)

    def rewind(self) -> None:
        self._writer = self._code.write(self._count, self._layer)

    def emit(self, steps: int) -> Tensor:
        return self._writer.emit(steps)


class _KeptDynamics(_InnerDynamics):
    """Orders that need the train itself, held as one byte a spike."""

    def __init__(self, inner: StreamingDynamics, order: Order, layer: Layer) -> None:
        super().__init__(inner)
        self._order = order
        self._layer = layer
        self._held: list[Tensor] = []
        self._step = 0

    def _hold(self, spikes: Tensor) -> None:
        self._held.append(spikes.bool())

    def rewind(self) -> None:
        self._held = [torch.cat(self._held)]
        self._step = 0

    def emit(self, steps: int) -> Tensor:
        train = self._held[0]
        window = torch.arange(self._step, self._step + steps, device=train.device)
        self._step += steps
        dtype = self._layer.threshold.dtype
        if self._order is Order.REVERSED:
            return train[len(train) - 1 - window].to(dtype)
        source = self._permutation(len(train))[window]  # [steps, B]
        sample = torch.arange(source.shape[1], device=train.device)
        return train[source, sample].to(dtype)

    def _permutation(self, steps: int) -> Tensor:
        """The step each output step is taken from, `[T, B]`."""
        batch = len(self._layer.draws.sample_ids)
        keys = [self._layer.draws.uniform(_ORDER_DRAW - t, (batch, 1))[:, 0] for t in range(steps)]
        return torch.stack(keys).argsort(dim=0, stable=True)
