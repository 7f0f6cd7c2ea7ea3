"""Fitting the table of a few-spikes neuron to a function.

For given thresholds T and resets h, the spikes of every step are known, and what the function is of
them best, the weights d, is a linear least-squares problem. So only T and h are searched for: from
several first tables on, each a binary search of the range in another arrangement, by random changes
of few entries, of which those that lower the squared error are kept. The error is a staircase in T
and h; a search needs no surrogate of its gradient. Every round looks at other points: a staircase
of thousands of steps would learn any fixed ones by heart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.neurons.few_spikes_table import FewSpikesTable

POINTS = 512
"""Inputs that the error of a round is measured on."""

MARGIN = 0.05
"""The part of the range by which it is widened, for inputs that were not seen."""

_FINAL_POINTS = 1 << 14
"""Inputs that the best tables are compared on, and weights fitted to, in the end."""

_TRIED = 32
"""Changed tables that are tried at once."""

_BRANCHES = 4
"""Tables that are changed side by side at first; half of them, then one, later on."""

Function = Callable[[Tensor], Tensor]


def fitted_table(
    function: Function, inputs: Tensor, steps: int, rounds: int = 400
) -> FewSpikesTable:
    """A table of K steps that computes a function of one value as nearly as a search finds.

    The error is the squared one, half of it over the inputs as they are distributed, half evenly
    over their range, a little widened. The same arguments give the same table on one machine.

    Args:
        function: of `[N]` float64 numbers, one by one.
        inputs: what it will be given, at least two different finite numbers, any shape. For an even
            error over a range `torch.linspace(low, high, 512)`.
        steps: K, 1 to 31.
        rounds: of the search, each of 32 tables; 0 for the best of the first tables.

    Returns:
        The table.

    Raises:
        ValueError: for inputs that are not finite or all the same, K out of range, and a function
            that is 0 or not finite over the inputs.

    Example:
        >>> import torch
        >>> x = torch.linspace(-8, 8, 512)
        >>> table = fitted_table(torch.sigmoid, x, steps=8, rounds=50)
        >>> float((table(x) - x.sigmoid()).square().mean()) < 1e-3
        True
    """
    if not 1 <= steps <= 31:
        raise ValueError(f"a table has 1 to 31 steps, got {steps}")
    points = _Points.of(inputs.detach().double().flatten().cpu())
    generator = torch.Generator().manual_seed(0)
    last = _Search.at(function, points.drawn(_FINAL_POINTS, generator), steps)
    if not bool(last.wanted.isfinite().all()) or not bool(last.wanted.any()):
        raise ValueError("a function that is 0 or not finite over its inputs can have no table")
    best = last.best(_first(points.low, points.high, steps), _BRANCHES)
    for number in range(rounds):
        now = _Search.at(function, points.drawn(POINTS, generator), steps)
        branches = max(1, _BRANCHES >> (4 * number // rounds))
        best = now.best(now.changed(best, generator), branches)
    thresholds, resets = best[0].T.tolist()
    _, weights = last.judged(best[:1])
    return FewSpikesTable.of_reals(thresholds, resets, weights[0].tolist())


@dataclass(frozen=True)
class _Points:
    """Where a function is looked at.

    Attributes:
        inputs: seen, float64 `[N]`, sorted.
        low, high: the range, widened.
    """

    inputs: Tensor
    low: float
    high: float

    @classmethod
    def of(cls, inputs: Tensor) -> _Points:
        low, high = (float(end) for end in torch.aminmax(inputs))
        if not bool(inputs.isfinite().all()) or low == high:
            raise ValueError("tables are fitted to finite inputs that are not all the same")
        wider = MARGIN * (high - low)
        return cls(inputs.sort().values, low - wider, high + wider)

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, half of them between inputs that were seen, half evenly over the range."""
        places = torch.arange(count // 2) + _uniform((count // 2,), generator)
        places = places.double() / (count // 2)
        among = places * (len(self.inputs) - 1)
        below = among.long().clamp(max=len(self.inputs) - 2)  # places in float32 may round up to 1
        seen = torch.lerp(self.inputs[below], self.inputs[below + 1], among - below)
        return torch.cat([seen, self.low + places * (self.high - self.low)])


def _uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draws in `[0, 1)`, float32 whatever torch's default dtype is."""
    return torch.rand(shape, generator=generator, dtype=torch.float32)


def _first(low: float, high: float, k: int) -> Tensor:
    """First tables of thresholds and resets, `[C, K, 2]`.

    One searches the whole range, from a first step that shifts it to begin at 0. The others search
    what lies above 0 with some steps, and what lies below with the others: evenly, or shifted too.
    """
    always = [(2 * low - high, low)]  # at this threshold every input spikes, and is shifted
    tables = [[*always, *_halving(high - low, k - 1)]]
    if low < 0 < high:
        for below in range(2, k // 2 + 1):
            above = _halving(high, k - below)
            evenly = [(low * (i + 0.5) / below, 0.0) for i in range(below)]
            tables += [[*above, *evenly], [*above, *always, *_halving(-low, below - 1)]]
    return torch.tensor(tables, dtype=torch.float32)


def _halving(width: float, steps: int) -> list[tuple[float, float]]:
    """Thresholds and resets that tell where in a range a number lies, half of it a step."""
    return [(width * 0.5**t, width * 0.5**t) for t in range(1, steps + 1)]


@dataclass(frozen=True)
class _Search:
    """What tables `[C, K, 2]` of thresholds and resets are worth at some points.

    Attributes:
        x: the points, `[N]`.
        wanted: the function of them, `[N]`.
        steps: K.
    """

    x: Tensor
    wanted: Tensor
    steps: int

    @classmethod
    def at(cls, function: Function, points: Tensor, steps: int) -> _Search:
        return cls(points.float(), function(points).float(), steps)

    def changed(self, tables: Tensor, generator: torch.Generator) -> Tensor:
        """The tables, and others that differ from them in a few entries."""
        tried = tables.repeat(_TRIED // len(tables), 1, 1)
        rows = (len(tried), 1, 1)
        share = (1 + 3 * _uniform(rows, generator)) / (2 * self.steps)
        size = 10 ** (-4 * _uniform(rows, generator) - 0.5)
        size = size * (self.x.max() - self.x.min())
        few = _uniform(tried.shape, generator) < share
        noise = torch.randn(tried.shape, generator=generator, dtype=torch.float32) * size * few
        return torch.cat([tables, tried + noise])

    def best(self, tables: Tensor, count: int) -> Tensor:
        """The best tables, the very best first."""
        return tables[self.judged(tables)[0].argsort(stable=True)[:count]]

    def judged(self, tables: Tensor) -> tuple[Tensor, Tensor]:
        """The squared error `[C]` and weights `[C, K]` of tables with their best weights."""
        spikes = self._spikes(tables)
        products = (spikes @ spikes.mT).double()  # whole numbers, exact
        ridge = 1e-9 * len(self.x) * torch.eye(self.steps, dtype=torch.float64)
        weights = torch.linalg.solve(products + ridge, (spikes @ self.wanted).double())
        rest = self.wanted - (weights[:, None].float() @ spikes)[:, 0]
        return rest.square().sum(1), weights

    def _spikes(self, tables: Tensor) -> Tensor:
        """What is sent of every point, `[C, K, N]`."""
        potential = self.x.expand(len(tables), -1)
        spikes = self.x.new_empty(len(tables), self.steps, len(self.x))
        for number in range(self.steps):
            threshold, reset = tables[:, number, :, None].unbind(1)
            spikes[:, number] = potential >= threshold
            potential = potential - spikes[:, number] * reset
        return spikes
