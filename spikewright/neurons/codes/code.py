"""What a code is: how a neuron writes its count in spikes, in a window of T time steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from spikewright.neurons.layer import Layer
from spikewright.neurons.registry import Registry
from spikewright.neurons.work import Work


class Writer(Protocol):
    """Writes settled counts of a layer in spikes, step by step."""

    def emit(self, steps: int) -> Tensor:
        """What leaves in the next `steps` steps, `[steps, B, *S]`."""
        ...


class Code(ABC):
    """How a count n becomes spikes: configuration only, no state.

    T is the number of time steps of a window, for every code; how far a neuron counts in T steps
    is `levels(T)`. The spikes carry the count exactly:

        sum_t weight[t] * spike[t] = n,   0 <= n <= levels(T)

    A code that does not carry every n in T steps tells the one that it carries instead, by
    `carried`, and a neuron's count is that.

    A code is a frozen dataclass, registered by `@register_code`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What `TwoPhase("nearest", NAME)` and `--neuron nearest:NAME` call it."""

    @property
    def meaning(self) -> str:
        """How it writes a count, in words that end a sentence of a report."""
        return f"its code is {self.name}"

    def levels(self, steps: int) -> int:
        """L, the largest count that T = `steps` time steps can carry; T for rate codes."""
        return steps

    @property
    def carries_all(self) -> bool:
        """Whether `carried` is the count itself, for every count and T."""
        return True

    @property
    def largest_spike(self) -> int:
        """The largest value of a spike; 1 where spikes are binary."""
        return 1

    @property
    def room(self) -> int:
        """How many times `levels` a count may reach; above 1 for codes to which that costs nothing.

        Thresholds are fitted without it: it is for values that calibration did not see.
        """
        return 1

    @property
    def bits(self) -> int:
        """Bits that tell what leaves a neuron at a step: 1 where that is a spike or none."""
        return 1

    def carried(self, count: Tensor, steps: int) -> Tensor:
        """The count that T = `steps` steps carry for counts up to `levels * room`, `[B, *S]`."""
        return count

    def steps_for(self, levels: int) -> int:
        """The fewest time steps in which it counts up to `levels`."""
        return levels

    def step_weights(self, steps: int) -> Tensor:
        """What a spike at each step counts for, float64 `[steps]`; ones for rate codes."""
        return torch.ones(steps, dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        """The number of spikes that carry each count; the count itself for rate codes."""
        return count

    @abstractmethod
    def spikes_at(self, step: int, count: Tensor, unsent: Tensor, steps: int) -> Tensor:
        """What leaves at one step.

        Args:
            step: 0 .. steps - 1.
            count: n, one that is `carried`, floating and integral, `[B, *S]`.
            unsent: what the spikes before this step have not carried yet, `[B, *S]`.
            steps: T.

        Returns:
            0 or 1, or what else a spike of this code can be, of the dtype of `count`, `[B, *S]`.
        """

    @abstractmethod
    def work(self, steps: int) -> Work:
        """What one neuron does to write its count in T = `steps` time steps."""

    def write(self, count: Tensor, layer: Layer) -> Writer:
        """Start writing counts `[B, *S]` at the first step of a layer's window."""
        return _StepwiseWriter(self, count, layer.steps)

    @classmethod
    def named(cls) -> Mapping[str, Code]:
        """The codes of this class that a user can name, by name; one with its defaults."""
        code = cls()
        return {code.name: code}


class _StepwiseWriter:
    """Writes counts by `Code.spikes_at`."""

    def __init__(self, code: Code, count: Tensor, steps: int) -> None:
        self._code = code
        self._count = count
        self._unsent = count
        self._steps = steps
        self._weights: list[float] = code.step_weights(steps).tolist()
        self._step = 0

    def emit(self, steps: int) -> Tensor:
        train: list[Tensor] = []
        for _ in range(steps):
            spikes = self._code.spikes_at(self._step, self._count, self._unsent, self._steps)
            self._unsent = self._unsent - spikes * self._weights[self._step]
            self._step += 1
            train.append(spikes)
        return torch.stack(train)


CODES: Registry[Code] = Registry("code")
"""Every registered code."""

register_code = CODES.register


def codes() -> dict[str, Code]:
    """Every code that a user can name, by name."""
    return {name: code for kind in CODES for name, code in kind.named().items()}


def code_of(code: Code | str) -> Code:
    """A code, or the code of a name.

    Raises:
        ValueError: for an unknown name, and anything else.
    """
    if isinstance(code, Code):
        return code
    known = codes()
    if not isinstance(code, str) or code not in known:
        raise ValueError(f"{code!r} is not a valid code: give one of {', '.join(known)}")
    return known[code]
