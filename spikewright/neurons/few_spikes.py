"""Few-spikes neurons: K steps of a table, fitted to the function of a unit (Stöckl & Maass)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikewright.checks import whole_number
from spikewright.errors import ConversionError
from spikewright.neurons.codes.binary import popcount
from spikewright.neurons.few_spikes_table import MARK, FewSpikesTable
from spikewright.neurons.layer import Layer, LayerLaw
from spikewright.neurons.neuron import Neuron, Spelling, WaitingDynamics, plainly
from spikewright.neurons.registry import register
from spikewright.neurons.table_fitting import fitted_table
from spikewright.neurons.two_phase import MOST_LEVELS
from spikewright.neurons.work import Work

_ROOM = 4
"""How much is made up for in a charge, in units of its rounding error (eps); see `_at_least`."""


@register
@dataclass(frozen=True)
class FewSpikes(Neuron):
    """Takes in the whole of its input as its potential, then runs the K = T steps of a table.

    At each step it spikes if its potential is at a threshold of that step, loses what the step
    takes, and the spike counts what the step weighs (Stöckl & Maass, Nature Machine Intelligence
    2021, arXiv 2002.00860):

        z_t = 1 if v_t >= T_t, else 0;  v_(t+1) = v_t - h_t z_t;  output = sum_t d_t z_t

    With `T_t = h_t = d_t = theta 2**(K - 1 - t) / (2**K - 1)`, t from 0, it is ReLU cut off to K
    bits, and of a signed signal its magnitude: this is what it does at rectifiers and relays, with
    the threshold theta of the site. Of any other function of one value it needs a table for every
    K: conversion fits them to what calibration samples show each unit (`fitted_table`).

    Args:
        tables: one for each number of steps K; none for what needs none.
        rounds: of the search for each table, at least 0; see `fitted_table`.

    Raises:
        ValueError: for two tables of one K, and rounds below 0.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), sw.FewSpikes(), steps=4)
        >>> snn.neurons["1"].tables[0].steps
        4
    """

    tables: tuple[FewSpikesTable, ...] = ()
    rounds: int = 400

    def __post_init__(self) -> None:
        rounds = whole_number(self.rounds, least=0)
        if rounds is None:
            raise ValueError(f"rounds is a whole number, at least 0, got {self.rounds!r}")
        object.__setattr__(self, "rounds", rounds)
        if len({table.steps for table in self.tables}) != len(self.tables):
            raise ValueError("a few-spikes neuron has one table for each number of steps")

    @property
    def label(self) -> str:
        return "few spikes"

    @property
    def meaning(self) -> str:
        return "listening, then K steps of its own thresholds and weights (arXiv 2002.00860)."

    @property
    def waits(self) -> bool:
        return True

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def has_count_law(self) -> bool:
        return True

    @property
    def takes_any_unit(self) -> bool:
        return True

    @property
    def fits_function(self) -> bool:
        return True

    @property
    def fitted_steps(self) -> tuple[int, ...]:
        return tuple(table.steps for table in self.tables)

    @property
    def reads_steps(self) -> bool:
        return bool(self.tables)

    def fitted(
        self, function: Callable[[Tensor], Tensor], inputs: Tensor, steps: Sequence[int]
    ) -> FewSpikes:
        tables = tuple(fitted_table(function, inputs, k, self.rounds) for k in steps)
        return replace(self, tables=tables)

    def own_threshold(self, steps: int) -> float | None:
        table = self.table(steps)
        return None if table is None else table.unit * table.levels

    def expected_count(self, charge: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        return self._magnitude(charge, steps, self.levels(steps)), torch.zeros_like(charge)

    def start(self, layer: Layer) -> WaitingDynamics:
        return _TableDynamics(self, layer)

    def count(self, charge: Tensor, layer: Layer | LayerLaw) -> Tensor:
        law = isinstance(layer, LayerLaw)
        levels = layer.levels if law else self.levels(layer.steps)
        if layer.signed and not self.tables:
            return charge.sign() * self._magnitude(charge.abs(), layer.steps, levels)
        return self._magnitude(charge, layer.steps, levels)

    def _magnitude(self, charge: Tensor, steps: int, levels: int | Tensor) -> Tensor:
        table = self.table(steps)
        if table is not None:
            return table.count(charge)
        whole = _at_least(charge).floor().clamp(min=0)
        return (
            torch.minimum(whole, levels) if isinstance(levels, Tensor) else whole.clamp(max=levels)
        )

    def levels(self, steps: int) -> int:
        table = self.table(steps)
        levels = 2**steps - 1 if table is None else table.levels
        if levels > MOST_LEVELS:
            raise ConversionError(
                f"'{self.label}' at T = {steps} would count to 2**{steps} - 1, and float32 holds "
                f"whole numbers up to {MOST_LEVELS:,}: T is the number of time steps, K of the "
                "paper; give 24 at most"
            )
        return levels

    def magnitudes(self, steps: int) -> int:
        """What K spikes or none can add up to, at most, whatever each of them weighs."""
        return min(self.reach(steps), 2**steps - 1)

    def step_weights(self, steps: int) -> Tensor:
        table = self.table(steps)
        if table is not None:
            return torch.tensor(table.weights, dtype=torch.float64)
        return 2.0 ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)

    def spikes_of(self, count: Tensor) -> Tensor:
        return count.remainder(MARK) if self.tables else popcount(count.abs())

    def work(self, steps: int) -> Work:
        """A comparison and a subtraction a step."""
        return Work(updates=steps, comparisons=steps)

    @classmethod
    def spellings(cls) -> Mapping[str, Spelling]:
        return {"few-spikes": plainly(lambda _: cls())}

    def table(self, steps: int) -> FewSpikesTable | None:
        """The table for K = `steps`; None of a neuron without tables.

        Raises:
            ConversionError: where there are tables, and none of them for this K.
        """
        found = [table for table in self.tables if table.steps == steps]
        if self.tables and not found:
            known = ", ".join(map(str, self.fitted_steps))
            raise ConversionError(
                f"the tables of '{self.label}' were fitted for T = {known}, not for T = {steps}: "
                f"convert for it too, as in convert(..., steps=({known}, {steps}))"
            )
        return found[0] if found else None


def _at_least(charge: Tensor) -> Tensor:
    """What a charge may be but for the rounding of the few products that it is made of.

    The bits of a charge are cut off, so next to nothing decides between L and L - 1 where a current
    is at its threshold. Thresholds are the largest activation of a channel, often enough.
    """
    return charge * (1 + _ROOM * torch.finfo(charge.dtype).eps)


class _TableDynamics(WaitingDynamics):
    """The steps of a layer, one after the other."""

    def __init__(self, neuron: FewSpikes, layer: Layer) -> None:
        self._neuron = neuron
        self._layer = layer
        self._table = neuron.table(layer.steps)
        self._weights: list[float] = neuron.step_weights(layer.steps).tolist()
        self._accumulated = torch.zeros_like(layer.threshold)

    @property
    def residual(self) -> Tensor:
        return self._charge - self._neuron.count(self._charge, self._layer)

    @property
    def _charge(self) -> Tensor:
        return self._accumulated / self._layer.threshold

    def absorb(self, current: Tensor, weights: Tensor) -> None:
        for arriving, weight in zip(current, weights.tolist(), strict=True):
            self._accumulated = self._accumulated + arriving * weight

    def rewind(self) -> None:
        self._step = 0
        charge = self._charge
        signed = self._layer.signed and self._table is None
        self._sign = charge.sign() if signed else None
        charge = charge.abs() if signed else charge
        self._potential = charge if self._table is not None else _at_least(charge)

    def emit(self, steps: int) -> Tensor:
        train: list[Tensor] = []
        for number in range(self._step, self._step + steps):
            if self._table is not None:
                spikes, self._potential = self._table.step(number, self._potential)
            else:
                weight = self._weights[number]
                spikes = (self._potential >= weight).to(self._potential.dtype)
                self._potential = self._potential - spikes * weight
            train.append(spikes if self._sign is None else spikes * self._sign)
        self._step += steps
        return torch.stack(train)
