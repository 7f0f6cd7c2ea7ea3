"""The results of a sweep: rows, their reference, and their table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import mean, stdev
from typing import Any

from spikewright.errors import AnalysisError
from spikewright.measure.answers import Accuracy, Tally
from spikewright.measure.run_record import RunRecord
from spikewright.measure.tables import aligned
from spikewright.network import SpikingNetwork


@dataclass(frozen=True)
class Reference:
    """The network that spiking networks are compared with, usually their source ANN.

    Attributes:
        accuracy: fraction of samples it gets right.
        low, high: Wilson 95 % interval of the accuracy.
        samples: how many were measured.
        seconds: wall time of its forward passes.
    """

    accuracy: float
    low: float
    high: float
    samples: int
    seconds: float = 0.0


@dataclass(frozen=True)
class SweepRow:
    """One spiking network at one T.

    Attributes:
        network: its name.
        steps: T.
        latency: time steps from the first input to the answer, unpipelined.
        accuracy: fraction of samples right, the mean over seeds.
        low, high: Wilson 95 % interval at the mean accuracy for `samples` trials, not seeds times
            as many: every seed sees the same samples, so more seeds do not make the choice of
            samples any less random. What the draws add is `spread`.
        seeds: how many seeds ran; 1 for a network without random draws.
        spread: standard deviation of the accuracy over seeds (n - 1 in the denominator); 0 for one.
        per_seed: the accuracy with each seed.
        samples: how many samples each seed saw.
        agreement: fraction of predictions equal to the reference's, the mean over seeds.
        only_network: samples that the network gets right and the reference wrong, first seed.
        only_reference: samples that the reference gets right and the network wrong, first seed.
        p_value: exact McNemar test of those two counts, so of the first seed.
        spikes_per_image: spikes of all layers for one sample, the mean over samples and seeds.
        spikes_per_neuron: the same over the number of neurons.
        seconds: wall time of its simulations, all seeds together.

    The four comparisons are None without a reference.
    """

    network: str
    steps: int
    latency: int
    accuracy: float
    low: float
    high: float
    seeds: int
    spread: float
    per_seed: tuple[float, ...]
    samples: int
    agreement: float | None
    only_network: int | None
    only_reference: int | None
    p_value: float | None
    spikes_per_image: float
    spikes_per_neuron: float
    seconds: float = 0.0


@dataclass(frozen=True)
class Sweep:
    """Every network at every T.

    Attributes:
        rows: network after network, each at every T.
        reference: what they are compared with, or None.
        record: how the numbers came about.
    """

    rows: tuple[SweepRow, ...]
    reference: Reference | None
    record: RunRecord

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, in the order of the arguments."""
        return tuple(dict.fromkeys(row.network for row in self.rows))

    @property
    def steps(self) -> tuple[int, ...]:
        """Every T, in the order of the arguments."""
        return tuple(dict.fromkeys(row.steps for row in self.rows))

    def row(self, network: str, steps: int) -> SweepRow:
        """The row of one network at one T.

        Raises:
            AnalysisError: when the sweep has no such row.
        """
        for row in self.rows:
            if row.network == network and row.steps == steps:
                return row
        raise AnalysisError(
            f"this sweep has no row of {network!r} at T = {steps}; its networks are "
            f"{', '.join(self.networks)}, its T {', '.join(map(str, self.steps))}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Rows, reference and record, as plain JSON values."""
        return {
            "rows": [{**asdict(row), "per_seed": list(row.per_seed)} for row in self.rows],
            "reference": None if self.reference is None else asdict(self.reference),
            "record": self.record.to_dict(),
        }

    def to_csv(self) -> str:
        """One line a row under the names of its fields, and the reference's accuracy at the end.

        What does not exist is empty; `per_seed` holds its numbers apart by spaces. The wall times
        are left out, so that the same measurement gives the same text.
        """
        names = [field.name for field in fields(SweepRow) if field.name != "seconds"]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*names, "reference_accuracy"])
        against = None if self.reference is None else self.reference.accuracy
        for row in self.rows:
            values = {**asdict(row), "per_seed": " ".join(map(str, row.per_seed))}
            writer.writerow([*(values[name] for name in names), against])
        return text.getvalue()

    def __str__(self) -> str:
        samples = self.rows[0].samples
        width = max(map(len, ("ANN", *self.networks)))
        lines = [[" " * width, *(f"T={steps}" for steps in self.steps)]]
        for name in self.networks:
            lines.append([name, *(_cell(self.row(name, steps)) for steps in self.steps)])
        text = aligned(lines)
        if self.reference is not None:
            right, low, high = (
                100 * getattr(self.reference, n) for n in ("accuracy", "low", "high")
            )
            cell = f"{right:.2f}  ({low:.2f} to {high:.2f})"
            text.insert(0, f"{'ANN':<{width}}  {cell}")
        text.insert(0, f"Accuracy in % on {samples:,} samples{_spread_note(self.rows)}")
        return "\n".join(text)


def row_of(
    name: str, network: SpikingNetwork, steps: int, tallies: Sequence[Tally], *, compared: bool
) -> SweepRow:
    """The row of a network at one T.

    Args:
        name: the network's name.
        network: the network that was measured.
        steps: T.
        tallies: one for each seed, over the same samples.
        compared: whether there was a reference.
    """
    first, samples = tallies[0], tallies[0].samples
    per_seed = tuple(tally.accuracy.fraction for tally in tallies)
    accuracy = mean(per_seed)
    low, high = Accuracy(accuracy * samples, samples).interval
    spikes = sum(tally.spikes for tally in tallies) / (samples * len(tallies))
    return SweepRow(
        network=name,
        steps=steps,
        latency=network.latency(steps),
        accuracy=accuracy,
        low=low,
        high=high,
        seeds=len(tallies),
        spread=stdev(per_seed) if len(per_seed) > 1 else 0.0,
        per_seed=per_seed,
        samples=samples,
        agreement=mean(tally.agree for tally in tallies) / samples if compared else None,
        only_network=first.only_network if compared else None,
        only_reference=first.only_reference if compared else None,
        p_value=first.p_value if compared else None,
        spikes_per_image=spikes,
        spikes_per_neuron=spikes / sum(math.prod(op.shape) for op in network.graph.neurons),
        seconds=sum(tally.seconds for tally in tallies),
    )


def reference_of(tally: Tally) -> Reference:
    """What the reference came to."""
    low, high = tally.accuracy.interval
    return Reference(tally.accuracy.fraction, low, high, tally.samples, tally.seconds)


def _cell(row: SweepRow) -> str:
    accuracy = f"{100 * row.accuracy:.2f}"
    return accuracy if row.seeds == 1 else f"{accuracy} ±{100 * row.spread:.2f}"


def _spread_note(rows: tuple[SweepRow, ...]) -> str:
    seeds = max(row.seeds for row in rows)
    return f"; ± standard deviation over {seeds} seeds" if seeds > 1 else ""
