"""The parts of `misalignment` that look into layers: spike times, residuals, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from spikewright.measure.batches import length_of
from spikewright.measure.cells import Cells, Task
from spikewright.measure.decomposition import LayerError, decompose
from spikewright.measure.memory import Portions
from spikewright.measure.spike_times import ResidualSummary, SpikeTimeHistogram, watch_spikes
from spikewright.measure.sweep_plan import Progress, SweepProgress
from spikewright.network import SpikingNetwork

R = TypeVar("R")
_TIMES = "spike times"


@dataclass(frozen=True)
class SpikeTimes:
    """When spikes leave two networks, and what the neurons of the first keep; one entry a site."""

    histograms: tuple[SpikeTimeHistogram, ...]
    residuals: tuple[ResidualSummary, ...]


@dataclass(frozen=True)
class Inside:
    """Two networks looked into on the same data, each part one cell.

    Attributes:
        networks: the baseline and the same with its trains rearranged, by name.
        data: batches, gone over once a part.
        steps: every T of the errors; spike times are those at the largest.
        seed: of the random draws.
        progress: called after every batch.
    """

    networks: dict[str, SpikingNetwork]
    data: Iterable[tuple[Tensor, Tensor]]
    steps: tuple[int, ...]
    seed: int
    progress: Progress | None

    def measure(self, cells: Cells) -> None:
        """Measure the parts that are dealt to this process."""
        baseline, probe = self.networks.values()
        most = max(self.steps)

        def times(data: Iterable[Any]) -> SpikeTimes:
            return SpikeTimes(*watch_spikes(baseline, probe, data, most, seed=self.seed))

        tasks = [Task(self._named(_TIMES), partial(self._over_data, times, _TIMES))]
        for name, network in self.networks.items():

            def errors(data: Iterable[Any], name: str = name, network: Any = network) -> Any:
                return decompose(network, data, self.steps, seed=self.seed, name=name)

            part = f"errors of {name}"
            tasks.append(Task(self._named(part), partial(self._over_data, errors, part)))
        for _ in cells.measure(tasks):
            pass

    def result(self, cells: Cells) -> tuple[SpikeTimes, tuple[LayerError, ...]]:
        """Spike times, and the errors of every network, T and site."""
        (times,) = cells.gather([self._named(_TIMES)], SpikeTimes)
        names = [self._named(f"errors of {name}") for name in self.networks]
        errors = cells.gather(names, tuple[LayerError, ...])
        return times, tuple(error for part in errors for error in part)

    def _named(self, part: str) -> str:
        """The name of a cell: a part at other T, or with another seed, is another one."""
        return f"{part}, T = {', '.join(map(str, self.steps))}, seed {self.seed}"

    def _over_data(self, work: Callable[[Iterable[Any]], R], part: str) -> R:
        dimensions = len(next(iter(self.networks.values())).graph.signal.shape)
        return Portions().again(lambda cut: work(self._reporting(cut, part)), self.data, dimensions)

    def _reporting(self, data: Iterable[Any], part: str) -> Iterator[Any]:
        """The data again, reporting every batch that was worked off."""
        total = length_of(self.data)
        for number, batch in enumerate(data, start=1):
            yield batch
            if self.progress is not None:
                self.progress(SweepProgress(part, max(self.steps), 0, number, total))
