"""Rate codes: a count of n is n spikes, and only their order differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from spikewright.neurons.codes.code import Code, Writer, register_code
from spikewright.neurons.layer import Layer
from spikewright.neurons.random_order import RandomOrder
from spikewright.neurons.work import Work


class RateOrder(StrEnum):
    """Where in the window the n spikes of a count stand."""

    RANDOM = "random"
    """At uniformly random steps."""
    BURST = "burst"
    """At once, from the first step."""
    LATE = "late"
    """In the last steps; a control of the misalignment experiment."""


_MEANINGS = {
    RateOrder.RANDOM: "at random steps",
    RateOrder.BURST: "at the first steps",
    RateOrder.LATE: "at the last steps",
}


@register_code
@dataclass(frozen=True)
class Rate(Code):
    """n spikes in T steps, each counting 1; levels T.

    Args:
        order: "random", "burst" or "late".

    Raises:
        ValueError: for another order.
    """

    order: RateOrder | str = RateOrder.RANDOM

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", RateOrder(self.order))

    @property
    def name(self) -> str:
        return str(self.order)

    @property
    def meaning(self) -> str:
        return f"its spikes stand {_MEANINGS[RateOrder(self.order)]}"

    def spikes_at(self, step: int, count: Tensor, unsent: Tensor, steps: int) -> Tensor:
        if self.order is RateOrder.RANDOM:
            raise ValueError("spikes in random order are drawn: write() does it")
        fires = count > step if self.order is RateOrder.BURST else count >= steps - step
        return fires.to(count.dtype)

    def write(self, count: Tensor, layer: Layer) -> Writer:
        if self.order is RateOrder.RANDOM:
            return RandomOrder(count, layer)
        return super().write(count, layer)

    def work(self, steps: int) -> Work:
        """One comparison a step, of the count with the step; random order updates and draws too."""
        drawn = steps if self.order is RateOrder.RANDOM else 0
        return Work(updates=drawn, comparisons=steps, draws=drawn)

    @classmethod
    def named(cls) -> Mapping[str, Code]:
        return {str(order): cls(order) for order in RateOrder}
