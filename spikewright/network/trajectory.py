"""The answers of a network on the way to its last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Trajectory:
    """What a network answers after each time step, made by `SpikingNetwork.trajectory`.

    Attributes:
        times: time steps since the first input, ascending, unpipelined.
        answers: what the source model returns, one for every time: within a window the means over
            its steps so far, after it the sums over all steps so far divided by T.
        settled: int64 `[B]`, the time after which no neuron sends a spike for a sample; that of the
            answer, `SpikingNetwork.latency`, at least.
    """

    times: tuple[int, ...]
    answers: tuple[Any, ...]
    settled: Tensor

    def at(self, time: int) -> Any:
        """The answer after a number of time steps: the latest one until then.

        Raises:
            ValueError: for a time before the first answer.
        """
        known = [answer for t, answer in zip(self.times, self.answers, strict=True) if t <= time]
        if not known:
            raise ValueError(f"the first answer comes after {self.times[0]} time steps, not {time}")
        return known[-1]
