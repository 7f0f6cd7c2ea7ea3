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
from spikewright.measure.answers import Accuracy, Tally, significant
from spikewright.measure.run_record import RunRecord
from spikewright.measure.scores import ACCURACY, RELATIVE_ERROR, Estimate, Score
from spikewright.measure.statistics import mean_interval
from spikewright.measure.tables import aligned
from spikewright.network import SpikingNetwork


@dataclass(frozen=True)
class Reference:
    """The network that spiking networks are compared with, usually their source ANN.

    Attributes:
        accuracy: fraction of samples it gets right; None where there are no classes.
        low, high: Wilson 95 % interval of the accuracy.
        samples: how many were measured.
        seconds: wall time of its forward passes, see `SweepRow`.
        metric, metric_low, metric_high: see `SweepRow`.
    """

    accuracy: float | None
    low: float | None
    high: float | None
    samples: int
    seconds: float = 0.0
    metric: float | None = None
    metric_low: float | None = None
    metric_high: float | None = None


@dataclass(frozen=True)
class SweepRow:
    """One spiking network at one T.

    Attributes:
        network: its name.
        steps: T.
        latency: time steps from the first input to the answer, unpipelined; of spike tracers until
            the last sample's network has settled.
        accuracy: fraction of samples right, the mean over seeds; None where labels, or answers,
            are of no classes.
        low, high: Wilson 95 % interval at the mean accuracy for `samples` trials, not seeds times
            as many: every seed sees the same samples, so more seeds do not make the choice of
            samples any less random. What the draws add is `spread`.
        seeds: how many seeds ran; 1 for a network without random draws.
        spread: standard deviation of the accuracy over seeds (n - 1 in the denominator); 0 for one.
        per_seed: the accuracy with each seed; empty without accuracies.
        samples: how many samples each seed saw.
        agreement: fraction of predictions equal to the reference's, the mean over seeds.
        only_network: samples that the network gets right and the reference wrong, first seed.
        only_reference: samples that the reference gets right and the network wrong, first seed.
        p_value: exact McNemar test of those two counts, so of the first seed.
        spikes_per_image: spikes of all layers for one sample, the mean over samples and seeds.
        spikes_per_neuron: the same over the number of neurons.
        seconds: wall time of its simulations, all seeds together, and of taking down their answers;
            reading the data is left out.
        relative_error: the distance of the answers to the reference's over their size, all samples
            and numbers together, `|a - b| / |b|`; the mean over seeds.
        relative_error_spread: standard deviation of the relative error over seeds.
        cosine: the cosine between an answer and the reference's, the mean over samples and seeds.
        metric: a metric of the user's own, the mean over samples and seeds; None without one.
        metric_low, metric_high: normal 95 % interval of that mean over samples; None where the
            metric gives numbers for whole batches.
        metric_spread: standard deviation of the metric over seeds.

    The six comparisons are None without a reference, and those of classes without accuracies.
    """

    network: str
    steps: int
    latency: int
    accuracy: float | None
    low: float | None
    high: float | None
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
    relative_error: float | None = None
    relative_error_spread: float = 0.0
    cosine: float | None = None
    metric: float | None = None
    metric_low: float | None = None
    metric_high: float | None = None
    metric_spread: float = 0.0


@dataclass(frozen=True)
class Sweep:
    """Every network at every T.

    Attributes:
        rows: network after network, each at every T.
        reference: what they are compared with, or None; where it answers otherwise at another T,
            as `references` tells, that of the first T.
        record: how the numbers came about.
        metric: the name of the metric of the user's own, or "".
        higher_is_better: whether that is so of the metric.
        references: the reference at each of `steps`, where data that are made for every T make it
            answer otherwise; else empty.
    """

    rows: tuple[SweepRow, ...]
    reference: Reference | None
    record: RunRecord
    metric: str = ""
    higher_is_better: bool = True
    references: tuple[Reference, ...] = ()

    @property
    def score(self) -> Score:
        """What networks are compared by: the metric, else accuracy, else the relative error."""
        if self.metric:
            return Score(self.metric, "metric", higher_is_better=self.higher_is_better)
        if self.rows[0].accuracy is not None:
            return ACCURACY
        return RELATIVE_ERROR

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, in the order of the arguments."""
        return tuple(dict.fromkeys(row.network for row in self.rows))

    @property
    def steps(self) -> tuple[int, ...]:
        """Every T, in the order of the arguments."""
        return tuple(dict.fromkeys(row.steps for row in self.rows))

    @property
    def ann_scores(self) -> dict[int, Estimate]:
        """The reference's score at every T; empty where it has none."""
        found = {steps: self.score.of(self.reference_at(steps)) for steps in self.steps}
        return {steps: estimate for steps, estimate in found.items() if estimate is not None}

    def reference_at(self, steps: int) -> Reference | None:
        """What networks at one T are compared with; None without a reference."""
        return self.references[self.steps.index(steps)] if self.references else self.reference

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
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "references": [asdict(one) for one in self.references],
        }

    def to_csv(self) -> str:
        """One line a row under the names of its fields, and its reference's at the end.

        What does not exist is empty; `per_seed` holds its numbers apart by spaces. The wall times
        are left out, so that the same measurement gives the same text.
        """
        names = [field.name for field in fields(SweepRow) if field.name != "seconds"]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*names, "reference_accuracy", "reference_metric"])
        for row in self.rows:
            reference = self.reference_at(row.steps)
            against = (None, None) if reference is None else (reference.accuracy, reference.metric)
            values = {**asdict(row), "per_seed": " ".join(map(str, row.per_seed))}
            writer.writerow([*(values[name] for name in names), *against])
        return text.getvalue()

    def __str__(self) -> str:
        score, samples = self.score, self.rows[0].samples
        width = max(map(len, ("ANN", *self.networks)))
        lines = [[" " * width, *(f"T={steps}" for steps in self.steps)]]
        anns = list(self.ann_scores.values())
        if anns and self.references:
            lines.append(["ANN", *(score.plain(ann.value) for ann in anns)])
        for name in self.networks:
            rows = [self.row(name, steps) for steps in self.steps]
            lines.append([name, *(score.text(row) for row in rows)])
        text = aligned(lines)
        if anns and not self.references:
            ann = anns[0]
            span = (
                "" if ann.low is None else f"  ({score.plain(ann.low)} to {score.plain(ann.high)})"
            )
            text.insert(0, f"{'ANN':<{width}}  {score.plain(ann.value)}{span}")
        title = f"{score.title} on {samples:,} samples{_spread_note(self.rows)}"
        text.insert(0, title[0].upper() + title[1:])
        return "\n".join(text)


def row_of(
    name: str,
    network: SpikingNetwork,
    steps: int,
    tallies: Sequence[Tally],
    *,
    compared: bool,
    measured: bool = False,
) -> SweepRow:
    """The row of a network at one T.

    Args:
        name: the network's name.
        network: the network that was measured.
        steps: T.
        tallies: one for each seed, over the same samples.
        compared: whether there was a reference.
        measured: whether there was a metric.
    """
    first, samples = tallies[0], tallies[0].samples
    classes = all(tally.classified == samples for tally in tallies)
    per_seed = tuple(tally.accuracy.fraction for tally in tallies) if classes else ()
    accuracy = mean(per_seed) if classes else None
    low, high = (None, None) if accuracy is None else _interval(accuracy, samples)
    spikes = sum(tally.spikes for tally in tallies) / (samples * len(tallies))
    matched = compared and classes
    errors = [tally.relative_error for tally in tallies if compared]
    return SweepRow(
        network=name,
        steps=steps,
        latency=network.latency(steps) + max(tally.settling for tally in tallies),
        accuracy=accuracy,
        low=low,
        high=high,
        seeds=len(tallies),
        spread=stdev(per_seed) if len(per_seed) > 1 else 0.0,
        per_seed=per_seed,
        samples=samples,
        agreement=mean(tally.agree for tally in tallies) / samples if matched else None,
        only_network=first.only_network if matched else None,
        only_reference=first.only_reference if matched else None,
        p_value=first.p_value if matched else None,
        spikes_per_image=spikes,
        spikes_per_neuron=spikes / sum(math.prod(op.shape) for op in network.graph.neurons),
        seconds=sum(tally.seconds for tally in tallies),
        relative_error=_mean(errors) if compared else None,
        relative_error_spread=_spread(errors),
        cosine=_mean([tally.cosine / samples for tally in tallies]) if compared else None,
        **(_metric_of(tallies) if measured else {}),
    )


def reference_of(tally: Tally, *, measured: bool = False) -> Reference:
    """What the reference came to; `measured` tells whether there is a metric."""
    metric = _metric_of([tally]) if measured else {}
    metric.pop("metric_spread", None)
    if tally.classified < tally.samples:
        return Reference(None, None, None, tally.samples, tally.seconds, **metric)
    low, high = tally.accuracy.interval
    return Reference(tally.accuracy.fraction, low, high, tally.samples, tally.seconds, **metric)


def _interval(accuracy: float, samples: int) -> tuple[float, float]:
    return Accuracy(accuracy * samples, samples).interval


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return significant(mean(known)) if len(known) == len(values) else None


def _spread(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return significant(stdev(known)) if len(known) == len(values) > 1 else 0.0


def _metric_of(tallies: Sequence[Tally]) -> dict[str, Any]:
    """The fields of the metric, from one tally for each seed."""
    samples = tallies[0].samples
    values = [tally.score / samples for tally in tallies]
    fields: dict[str, Any] = {
        "metric": significant(mean(values)),
        "metric_spread": _spread(values),
    }
    if all(tally.scored == samples for tally in tallies):
        squares = mean(tally.squares for tally in tallies) / samples
        low, high = mean_interval(mean(values), squares, samples)
        fields |= {"metric_low": significant(low), "metric_high": significant(high)}
    return fields


def _spread_note(rows: tuple[SweepRow, ...]) -> str:
    seeds = max(row.seeds for row in rows)
    return f"; ± standard deviation over {seeds} seeds" if seeds > 1 else ""
