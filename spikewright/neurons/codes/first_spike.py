"""The first-spike code: one spike, whose time is the count (LC-TTFS, arXiv 2310.14978)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.neurons.codes.code import Code, register_code
from spikewright.neurons.work import Work


@register_code
@dataclass(frozen=True)
class FirstSpike(Code):
    """One spike, earlier for larger n, none for n = 0; levels T.

    A spike at step t (from 0) counts T - t. In T = 4 steps, n = 3 is the train 0, 1, 0, 0.
    """

    @property
    def name(self) -> str:
        return "first-spike"

    @property
    def meaning(self) -> str:
        return "the time of its one spike is the count"

    def step_weights(self, steps: int) -> Tensor:
        return torch.arange(steps, 0, -1, dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        return (count > 0).to(count.dtype)

    def spikes_at(self, step: int, count: Tensor, unsent: Tensor, steps: int) -> Tensor:
        return ((count > 0) & (count == steps - step)).to(count.dtype)

    def work(self, steps: int) -> Work:
        """One comparison a step, of the count with the step."""
        return Work(comparisons=steps)
