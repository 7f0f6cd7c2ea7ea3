"""The calibration samples that corrections are measured on."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spikewright.calibration.segments import kept_bytes
from spikewright.calibration.statistics import finite_sum
from spikewright.graph.evaluate import apply, evaluate
from spikewright.graph.inputs import Batch, content_of
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.per_channel import by_channel
from spikewright.neurons import sample_ids_of

if TYPE_CHECKING:
    from spikewright.calibration.holding_out import Folds

MEMORY = 2 << 30
"""Bytes that the samples of a correction may take, with the counts that it keeps of them."""

PART_BYTES = 8 << 20
"""Bytes of a part's largest value on a processor: larger arrays do not profit from caches."""

CALL_BYTES = 64 << 10
"""Bytes that take about as long as the calls of an operation and of a layer's statistics."""


@dataclass(frozen=True)
class _Shown:
    """What the ANN shows; see `Samples`."""

    input_means: Mapping[str, Tensor]
    answers: Mapping[str, Tensor]


@dataclass(frozen=True)
class Samples:
    """Samples in parts that fit into memory one by one.

    Attributes:
        graph: of the network.
        parts: batches of all inputs, on the graph's device.
        seen: how many samples calibration saw; more than are here if not all fit into the budget.
        known_means: the `input_means`, where they are known.
        known_answers: the `answers`, where they are known.
        folds: of these samples, so far, by how many they are dealt out to.
    """

    graph: Graph
    parts: tuple[Batch, ...]
    seen: int
    known_means: Mapping[str, Tensor] | None = None
    known_answers: Mapping[str, Tensor] | None = None
    folds: dict[int, Folds] = field(default_factory=dict, repr=False, compare=False)
    _chosen: dict[tuple[int, int], Samples] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @cached_property
    def ids(self) -> tuple[Tensor, ...]:
        """The identities that random draws are keyed by, int64 `[B]` for every part."""
        return tuple(sample_ids_of(content_of(part)) for part in self.parts)

    @property
    def input_means(self) -> Mapping[str, Tensor]:
        """The ANN's mean input of every channel, by site, float64 `[C]` on the CPU."""
        return self._shown.input_means if self.known_means is None else self.known_means

    @property
    def answers(self) -> Mapping[str, Tensor]:
        """The ANN's outputs that a signal reaches, by name, `[B, ...]`."""
        return self._shown.answers if self.known_answers is None else self.known_answers

    @cached_property
    def _shown(self) -> _Shown:
        """What the ANN shows on the samples, each of which it is run on once."""
        sums: dict[str, Tensor] = {}
        values = Counter[str]()

        def keep(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
            assert op.site is not None
            rows = by_channel(inputs[0], op.site.channels)
            sums[op.site.name] = sums.get(op.site.name, 0.0) + finite_sum(rows, (0, 2)).cpu()
            values[op.site.name] += rows.shape[0] * rows.shape[2]
            return apply(op, inputs, self.graph.tensors)

        parts = [evaluate(self.graph, part, {Kind.UNIT: keep}) for part in self.parts]
        outputs = zip(self.graph.outputs, zip(*parts, strict=True), strict=True)
        constants = self.graph.constants
        return _Shown(
            {site: total / values[site] for site, total in sums.items()},
            {name: torch.cat(values) for name, values in outputs if name not in constants},
        )

    @cached_property
    def activation_means(self) -> Mapping[str, Tensor]:
        """The ANN's mean activation of every neuron, by site, float64 `[*S]` on the CPU."""
        sums: dict[str, Tensor] = {}

        def keep(op: Operation, inputs: tuple[Tensor, ...]) -> Tensor:
            assert op.site is not None
            activations: Tensor = apply(op, inputs, self.graph.tensors)
            total = activations.sum(0, dtype=torch.float64).cpu()
            sums[op.site.name] = sums.get(op.site.name, 0.0) + total
            return activations

        for part in self.parts:
            evaluate(self.graph, part, {Kind.UNIT: keep})
        return {site: total / len(self) for site, total in sums.items()}

    def selected(self, which: Tensor) -> Samples:
        """Some of the samples, bool `[N]`."""
        parts = tuple(self._picked(torch.arange(len(self))[which]))
        return Samples(self.graph, parts, int(which.sum()))

    def divided(self, which: Tensor) -> tuple[Samples, Samples]:
        """Some of the samples, bool `[N]`, and the others; the ANN is run once, on all of them."""
        first, second = (
            replace(
                self.selected(some),
                known_answers={name: value[some] for name, value in self.answers.items()},
            )
            for some in (which, ~which)
        )
        return first, second

    def spread(self, number: int, steps: int = 1) -> Samples:
        """A selection of at most so many samples, evenly spread over all.

        Args:
            number: at least 1.
            steps: D, time steps that are held of every value; parts are D times as small.
        """
        if number >= len(self) and steps == 1:
            return self
        key = number, steps
        if key not in self._chosen:
            count = min(number, len(self))
            places = torch.linspace(0, len(self) - 1, count, dtype=torch.float32).round().long()
            size = max(1, max(len(part) for part in self.parts) // steps)
            parts = tuple(part for picked in self._picked(places) for part in picked.split(size))
            self._chosen[key] = Samples(self.graph, parts, self.seen)
        return self._chosen[key]

    def _picked(self, places: Tensor) -> Iterator[Batch]:
        start = 0
        for part in self.parts:
            inside = places[(places >= start) & (places < start + len(part))] - start
            if len(inside):
                yield part[inside.to(part.device)]
            start += len(part)

    def warn_if_fewer(self) -> None:
        """Warn that corrections see fewer samples than the statistics did."""
        if len(self) < self.seen:
            each = bytes_each(self.graph)
            warnings.warn(
                f"the correction is measured on {len(self):,} of the {self.seen:,} calibration "
                f"samples, evenly spread over them: each takes {each / 1e6:.3g} MB, and at most "
                f"{MEMORY / 2**30:.3g} GiB are kept; thresholds come from all samples",
                stacklevel=3,
            )


def bytes_each(graph: Graph) -> int:
    """What one sample takes in a correction: itself, and what is kept of it between layers."""
    own = sum(math.prod(port.shape) * (port.dtype or graph.dtype).itemsize for port in graph.inputs)
    return own + kept_bytes(graph, graph.dtype.itemsize)


def part_size(graph: Graph, batch: Batch) -> int:
    """How many samples run at a time: on a processor as many as suit its caches, else a batch.

    More where most operations are small, as in a recurrent layer unrolled behind convolutions:
    there the time goes into the calls.
    """
    if batch.device.type != "cpu":
        return len(batch)
    each = graph.dtype.itemsize
    sizes = [math.prod(op.shape) * each for op in graph.operations]
    cached = PART_BYTES // max(sizes)
    worth_calling = CALL_BYTES * len(sizes) // max(1, sum(sizes))
    return max(1, cached, min(worth_calling, 8 * cached))
