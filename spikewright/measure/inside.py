"""The parts of `misalignment` that look into layers: spike times, residuals, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from torch import Tensor

from spikewright.decoding import decoded
from spikewright.measure.batches import length_of
from spikewright.measure.decomposition import LayerError, decompose
from spikewright.measure.kept import Kept, once
from spikewright.measure.memory import Portions
from spikewright.measure.spike_times import ResidualSummary, SpikeTimeHistogram, watch_spikes
from spikewright.measure.sweep import SweepProgress
from spikewright.network import SpikingNetwork

R = TypeVar("R")


@dataclass(frozen=True)
class Inside:
    """Two networks looked into on the same data; what is found is kept part by part.

    Attributes:
        network: the baseline.
        probe: the same with its trains rearranged.
        data: batches, gone over once a part.
        progress: told of every batch.
        kept: where finished parts are kept.
    """

    network: SpikingNetwork
    probe: SpikingNetwork
    data: Iterable[tuple[Tensor, Tensor]]
    progress: Callable[[SweepProgress], None] | None
    kept: Kept | None

    def spike_times(
        self, steps: int
    ) -> tuple[tuple[SpikeTimeHistogram, ...], tuple[ResidualSummary, ...]]:
        """When spikes leave in both networks, and what the baseline's neurons keep, at one T."""

        def found() -> dict[str, Any]:
            histograms, residuals = self._over_data(
                lambda data: watch_spikes(self.network, self.probe, data, steps),
                "spike times",
                steps,
            )
            return {
                "histograms": [asdict(entry) for entry in histograms],
                "residuals": [asdict(entry) for entry in residuals],
            }

        plain = once(self.kept, "spike times", found)
        return (
            decoded(tuple[SpikeTimeHistogram, ...], plain["histograms"], "histograms"),
            decoded(tuple[ResidualSummary, ...], plain["residuals"], "residuals"),
        )

    def errors(
        self, name: str, network: SpikingNetwork, times: Sequence[int]
    ) -> tuple[LayerError, ...]:
        """The error of every layer of one of them at every T, by its causes."""

        def found() -> list[dict[str, Any]]:
            errors = self._over_data(
                lambda data: decompose(network, data, times, name=name),
                f"errors of {name}",
                max(times),
            )
            return [asdict(entry) for entry in errors]

        plain = once(self.kept, f"errors of {name}", found)
        return decoded(tuple[LayerError, ...], plain, "errors of layers")

    def _over_data(self, work: Callable[[Iterable[Any]], R], name: str, steps: int) -> R:
        dimensions = len(self.network.graph.input_shape)
        return Portions().again(
            lambda cut: work(_reporting(cut, self.progress, name, steps, length_of(self.data))),
            self.data,
            dimensions,
        )


def _reporting(
    data: Iterable[tuple[Tensor, Tensor]],
    progress: Callable[[SweepProgress], None] | None,
    name: str,
    steps: int,
    total: int | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The data again, telling of every batch that was worked off."""
    samples = 0
    for number, batch in enumerate(data, start=1):
        yield batch
        samples += len(batch[0])
        if progress is not None:
            progress(SweepProgress(name, steps, 0, samples, number, total))
