"""What every neuron is: a small description that starts dynamics, and sometimes has a count law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from spikewright.neurons.layer import Layer, LayerLaw
from spikewright.neurons.work import Work

StepFunction = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Dynamics(ABC):
    """A layer of neurons while it runs; its state lives here and nowhere else.

    Currents arrive and spikes leave step by step, in chunks `[t, B, *S]` of any length: cutting a
    run into other chunks does not change a bit of it.
    """

    @property
    @abstractmethod
    def residual(self) -> Tensor:
        """What is left to send, in counts, `[B, *S]`.

        That is the charge that came in, with what a membrane starts from (v0), less what was sent.
        """


class StreamingDynamics(Dynamics):
    """A one-phase neuron: it emits while it integrates."""

    @property
    def owes(self) -> bool:
        """Whether any neuron of the layer will send a spike though nothing more arrives."""
        return False

    @abstractmethod
    def advance(self, current: Tensor) -> Tensor:
        """Take the next `[t, B, *S]` of current and return the spikes of the same steps."""


class WaitingDynamics(Dynamics):
    """A neuron that emits only when all of its input has arrived."""

    @abstractmethod
    def absorb(self, current: Tensor, weights: Tensor) -> None:
        """Take the next `[t, B, *S]` of current; `weights` `[t]` are the steps' weights.

        The weights of a window add up to L, so the weighted sum is L times the mean current.
        """

    @abstractmethod
    def rewind(self) -> None:
        """Make the next `emit` start at the first step again; the train it gives is the same."""

    @abstractmethod
    def emit(self, steps: int) -> Tensor:
        """The spikes of the next `steps` steps, `[steps, B, *S]`: 0 or 1, or -1 if signed."""


Spelling = Callable[[str | None, Any], "Neuron"]
"""Makes a neuron of what stands after the colon of its name, as in `nearest:binary` (None without
a colon), and of the integrate-and-fire neuron that the conversion method starts from.

Raises ValueError, in words for whoever wrote it."""

_LONGEST_REHEARSAL = 2**16
"""In steps, that a command line takes."""


class Neuron(ABC):
    """A kind of spiking neuron: configuration only, no state.

    T is the number of time steps of a window that count. A neuron counts up to L = `levels(T)` in
    it: T for rate codes, 2**T - 1 for the binary code. The value that a train carries is
    `theta / L * sum_t weight[t] * spike[t]`, with the `step_weights` of the neuron's code.

    A neuron is a frozen dataclass, registered by `@register`.
    """

    @property
    @abstractmethod
    def label(self) -> str:
        """A short name for tables."""

    @property
    def meaning(self) -> str:
        """What it is, in a sentence for readers of a report who do not know it yet."""
        return ""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether it emits only after the whole of its input has arrived (two-phase)."""

    @property
    @abstractmethod
    def stochastic(self) -> bool:
        """Whether its spike count depends on the seed."""

    @property
    def has_count_law(self) -> bool:
        """Whether its count is a function of its total charge alone, so `count` may be called."""
        return False

    @property
    def takes_any_unit(self) -> bool:
        """Whether it serves units other than rectifiers: it rounds a function, and has signs."""
        return False

    @property
    def fits_function(self) -> bool:
        """Whether it computes the function of a unit by its own steps, as `fitted` to it.

        It is given the mean current then, and not the function of it.
        """
        return False

    @property
    def fitted_steps(self) -> tuple[int, ...]:
        """Every T for which it is `fitted`, of neurons that fit functions."""
        return ()

    def fitted(
        self, function: Callable[[Tensor], Tensor], inputs: Tensor, steps: Sequence[int]
    ) -> Neuron:
        """This neuron, fitted to a function of one value; see `fits_function`.

        Args:
            function: value by value, of float64 `[N]`.
            inputs: what it is given on calibration data, float64 `[N]`.
            steps: every T.
        """
        raise TypeError(f"{self.label} computes no function by its steps: there is nothing to fit")

    def own_threshold(self, steps: int) -> float | None:
        """The threshold that goes with what was fitted; None where calibration chooses it."""
        return None

    @property
    def reads_law(self) -> bool:
        """Whether its count law reads the table of the TPP law."""
        return False

    @property
    def reads_steps(self) -> bool:
        """Whether its count law reads T beside L, as of a code that rounds to what T digits say."""
        return False

    @property
    def largest_spike(self) -> int:
        """The largest value of a spike; 1 where spikes are binary."""
        return 1

    @property
    def bits(self) -> int:
        """Bits that tell what leaves a neuron at a step, so wires; 1 for a spike or none."""
        return 1

    @property
    def rehearsal(self) -> int:
        """Time steps run before the T that count; their spikes weigh nothing, and cost as much."""
        return 0

    @property
    def settling(self) -> int | None:
        """The most time steps that it runs on after the T that count, without input.

        None is for as many as it takes until it owes no spike.
        """
        return 0

    @property
    def takes_back(self) -> bool:
        """Whether it takes spikes back: it sends -1 too, and more spikes than its count tells."""
        return False

    @property
    def settled(self) -> Neuron:
        """The neuron that it is once it has settled, which calibration takes it for."""
        return self

    @abstractmethod
    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Mean and variance of the count when the charge arrives evenly in time.

        This is what thresholds are fitted to.

        Args:
            charge: `x = L * mean current / theta`, any shape, at least 0. Neurons with signed
                counts treat negative charges as they treat positive ones.
            steps: T.

        Returns:
            Mean and variance of the count, each of the shape of `charge`.
        """

    def mean_count(self, charge: Tensor, steps: int, *, signed: bool) -> Tensor:
        """The mean count when any charge arrives evenly in time; see `expected_count`.

        Args:
            charge: as there, but of either sign.
            steps: T.
            signed: whether a negative charge counts as its magnitude, below 0; else it counts 0.
        """
        if not signed:
            return self.expected_count(charge.clamp(min=0), steps)[0]
        return self.expected_count(charge.abs(), steps)[0] * charge.sign()

    @property
    def evenly_driven(self) -> Neuron:
        """A neuron of the same counts where charge comes evenly, the same one for all such neurons.

        Thresholds and corrections that know no more of a neuron are shared between them. A class
        derived from another one answers with itself, as it may count otherwise.
        """
        return self

    @abstractmethod
    def start(self, layer: Layer) -> WaitingDynamics | StreamingDynamics:
        """Fresh dynamics of a layer of these neurons: the step-wise reference."""

    @abstractmethod
    def work(self, steps: int) -> Work:
        """What one neuron does in a window of T = `steps`, besides taking in what arrives."""

    @property
    def settling_work(self) -> Work:
        """What one neuron does in each time step in which it settles, see `settling`."""
        return Work()

    @property
    def one_step(self) -> StepFunction | None:
        """One time step as a pure function of one state, for neurons that have one.

        It maps (potential `[B, *S]`, current `[B, *S]`, theta) to (spikes, new potential). Repeated
        from `initial`, it does what `start` does.
        """
        return None

    def initial(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """For neurons with `one_step`: the first potential, and an offset of every current."""
        raise TypeError(f"{self.label} has no step that is a function of its potential alone")

    def count(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        """Spike counts from total charge alone: the count law.

        Args:
            charge: `x = L * mean current / theta`, `[B, *S]`; with the function of the mean
                current in its place for a unit that is no rectifier.
            layer: threshold, T and draws.

        Returns:
            Counts from 0, or from as far below it in a signed layer, to the `reach`, floating,
            `[B, *S]`; of a table of steps, any that it sends.
        """
        raise TypeError(f"{self.label} has no count law: its count depends on the order of spikes")

    def levels(self, steps: int) -> int:
        """L, the largest count in a window of T = `steps` time steps; T for rate codes.

        Raises:
            ConversionError: where that is more than can be counted exactly.
        """
        return self.window(steps)

    def reach(self, steps: int) -> int:
        """The largest count that can be sent in T steps; L where a code leaves no room."""
        return self.levels(steps)

    def magnitudes(self, steps: int) -> int:
        """The magnitudes above 0 that counts of T steps have at most: every one up to the reach."""
        return self.reach(steps)

    def window(self, steps: int) -> int:
        """The time steps of its window that count, where the network runs at T = `steps`.

        That is T, but for neurons with steps of their own; what they tell of any T is told of it.
        """
        return steps

    def duration(self, steps: int) -> int:
        """Time steps that a window of T = `steps` lasts: T, and the rehearsal before it."""
        return self.rehearsal + self.window(steps)

    def step_weights(self, steps: int) -> Tensor:
        """What a spike at each step counts for, float64 `[duration]`: ones for rate codes."""
        return torch.ones(self.duration(steps), dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        """Spikes that carry a count, of either sign."""
        return count

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        """How users write neurons of this class on a command line, by name; none by default."""
        return {}

    @classmethod
    def variants(cls) -> Sequence[Neuron]:
        """Configurations that between them do all that this class can; the defaults alone here.

        The contract suite and the tables of the documentation go through them.
        """
        return (cls(),)


def plainly(make: Callable[[Any], Neuron]) -> Spelling:
    """The spelling of a neuron that takes nothing after a colon."""

    def spelled(option: str | None, one_phase: Any) -> Neuron:
        if option is not None:
            raise ValueError(f"nothing may follow this name, but ':{option}' does")
        return make(one_phase)

    return spelled


def rehearsing(name: str, parameter: str, make: Callable[..., Neuron]) -> Spelling:
    """The spelling of a neuron that takes the steps of its rehearsal after a colon, or none.

    Args:
        name: as users write it.
        parameter: what the steps are called in Python.
        make: takes them under that name, and the integrate-and-fire neuron as `neuron`.
    """

    def spelled(steps: str | None, one_phase: Any) -> Neuron:
        if steps is None:
            return make(neuron=one_phase)
        if not steps.isdecimal() or not 1 <= int(steps) <= _LONGEST_REHEARSAL:
            raise ValueError(
                f"give {name}, or {name}:{parameter.upper()} with 1 to {_LONGEST_REHEARSAL:,} "
                "steps of rehearsal"
            )
        return make(neuron=one_phase, **{parameter: int(steps)})

    return spelled
