"""From runs to points: every network at every T, with accuracy, latency, spikes and energy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikewright.measure import RunRecord, SweepRow, wilson_interval
from spikewright.measure.scores import ACCURACY, Estimate
from spikewright.report.compare.pareto import pareto_front
from spikewright.report.contents import Study
from spikewright.report.costs import Energies
from spikewright.report.results import Run

CONVERSION = (
    "model",
    "weights",
    "model_argument",
    "data",
    "mean",
    "std",
    "size",
    "calibration_samples",
    "split",
    "method",
    "threshold",
    "correction",
    "units",
    "seed",
    "precision",
)
"""Options that say which converted network it is, and on which images it is measured."""
_BY_FOLDER = ("imagefolder", "cifar10dvs")
"""Data sets of which there may be several: their folder belongs to their name."""


@dataclass(frozen=True)
class Source:
    """One source network of one run.

    Attributes:
        mark: short and unique on a page: "A", or "A1", "A2" where a run has several.
        run: the run that it belongs to.
        study: its accuracies; None for a run of `energy` alone.
        data: what it was measured on; accuracies on different data do not compare.
    """

    mark: str
    run: Run
    study: Study | None
    data: str

    @property
    def record(self) -> RunRecord | None:
        """Where its numbers come from: accuracies, or operations that alone were counted."""
        if self.study is not None:
            return self.study.sweep.record
        return next((one.record for one in self.run.report.operations), None)

    @property
    def title(self) -> str:
        """The mark, the run and, where the run has several, which of its networks."""
        several = len(self.run.report.studies) > 1
        part = f", {self.study.title}" if several and self.study is not None else ""
        return f"{self.mark} · {self.run.name}{part}"


@dataclass(frozen=True)
class Point:
    """One network at one T.

    Attributes:
        mark, data: those of its source.
        network: its name.
        steps: T.
        latency: time steps from the first input to the answer, unpipelined.
        accuracy, low, high: fraction of samples right and its Wilson 95 % interval.
        samples: how many samples were measured.
        spread: standard deviation over seeds; 0 for one seed.
        ann: accuracy of its source, on the data of the same T; None where not measured.
        p_value: exact McNemar test against the source; None where there is none.
        spikes: spikes of all layers for one sample.
        energies: its energies; None where not measured.
        energy_mark: the source whose run measured the energies, "" without.
    """

    mark: str
    data: str
    network: str
    steps: int
    latency: int
    accuracy: float
    low: float
    high: float
    samples: int
    spread: float
    ann: float | None
    p_value: float | None
    spikes: float
    energies: Energies | None = None
    energy_mark: str = ""


def sources_of(runs: Sequence[Run]) -> tuple[Source, ...]:
    """Every source network of every run, with its mark."""
    sources: list[Source] = []
    for number, run in enumerate(runs):
        letter = _letter(number)
        data = data_of(run.configuration)
        if not run.report.studies:
            sources.append(Source(letter, run, None, data))
        elif len(run.report.studies) == 1:
            sources.append(Source(letter, run, run.report.studies[0], data))
        else:
            studies = enumerate(run.report.studies, start=1)
            sources += [Source(f"{letter}{n}", run, study, data) for n, study in studies]
    return tuple(sources)


def _letter(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    head, last = divmod(number, 26)
    return (_letter(head - 1) if head else "") + chr(ord("A") + last)


def data_of(configuration: Mapping[str, Any]) -> str:
    """What accuracies were measured on: data set and split, and the share of it.

    A data set of which there is one is the same in any folder. Simulated recordings are called so.
    """
    if configuration.get("command") == "demo":
        return "digits, test split"
    spec = str(configuration.get("data") or "unknown data")
    kind, _, folder = spec.partition(":")
    name = f"{configuration.get('dataset', kind)}:{folder}" if kind in _BY_FOLDER else kind
    return f"{name}, {configuration.get('split') or 'test'} split"


def points_of(sources: Sequence[Source]) -> tuple[Point, ...]:
    """All points: the rows of the sweeps, and the entries of `energy` that fit none of them.

    A row takes its energies from an entry of the same network at the same T, converted alike
    (`CONVERSION`): of its own run, or of the first other that has it.
    """
    offered = [(s, e) for s in sources if first_of_run(s) for e in s.run.energies]
    taken: set[int] = set()
    points: list[Point] = []
    for source in sources:
        for row in () if source.study is None else source.study.sweep.rows:
            fits = [(s, e) for s, e in offered if _fits(source, row, s, e)]
            taken |= {id(e) for _, e in fits}
            fits.sort(key=lambda offer: offer[0].run is not source.run)
            accuracy = ACCURACY.of(row)
            if accuracy is not None:
                points.append(_point(source, row, accuracy, *(fits[0] if fits else (None, None))))
    alone = [(s, e) for s, e in offered if id(e) not in taken and e.accuracy is not None]
    return (*points, *(_measured_alone(source, entry) for source, entry in alone))


def first_of_run(source: Source) -> bool:
    """Whether a source stands for its run: of the sources of one run, one does."""
    studies = source.run.report.studies
    return not studies or source.study is studies[0]


def _fits(source: Source, row: SweepRow, other: Source, entry: Energies) -> bool:
    if (row.network, row.steps) != (entry.network, entry.steps):
        return False
    mine, theirs = source.run.configuration, other.run.configuration
    inputs = (mine.get("inputs"), theirs.get("inputs"))  # hashes of weights and images
    alike = all(mine.get(key) == theirs.get(key) for key in CONVERSION)
    alike = alike and bool(mine.get("frames")) == bool(theirs.get("frames"))
    alike = alike and (None in inputs or inputs[0] == inputs[1])
    return alike and mine.get("model") is not None


def _point(
    source: Source,
    row: SweepRow,
    accuracy: Estimate,
    other: Source | None,
    entry: Energies | None,
) -> Point:
    assert source.study is not None
    assert accuracy.low is not None
    assert accuracy.high is not None
    reference = source.study.sweep.reference_at(row.steps)
    return Point(
        mark=source.mark,
        data=source.data,
        network=row.network,
        steps=row.steps,
        latency=row.latency,
        accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        samples=row.samples,
        spread=row.spread,
        ann=None if reference is None else reference.accuracy,
        p_value=row.p_value,
        spikes=row.spikes_per_image,
        energies=entry,
        energy_mark="" if other is None else other.mark,
    )


def _measured_alone(source: Source, entry: Energies) -> Point:
    assert entry.accuracy is not None
    low, high = wilson_interval(entry.accuracy * entry.samples, entry.samples)
    return Point(
        mark=source.mark,
        data=data_of(source.run.configuration),
        network=entry.network,
        steps=entry.steps,
        latency=entry.latency,
        accuracy=entry.accuracy,
        low=low,
        high=high,
        samples=entry.samples,
        spread=0.0,
        ann=None,
        p_value=None,
        spikes=entry.spikes,
        energies=entry,
        energy_mark=source.mark,
    )


COSTS: Mapping[str, Callable[[Point], float | None]] = {
    "latency": lambda point: point.latency,
    "spikes": lambda point: point.spikes,
    "energy": lambda point: point.energies and point.energies.energy.snn_nj,
    "integer energy": lambda point: point.energies and point.energies.energy.snn_integer_nj,
    "memory energy": lambda point: point.energies and point.energies.energy.snn_with_memory_nj,
}
"""What a front sets against accuracy, by name; None where it was not measured."""


def fronts(points: Sequence[Point]) -> dict[str, frozenset[Point]]:
    """The points on the front of accuracy against each of `COSTS`, data set by data set."""
    return {
        cost: frozenset(
            point
            for data in dict.fromkeys(p.data for p in points)
            for point in front_of([p for p in points if p.data == data], cost)
        )
        for cost in COSTS
    }


def front_of(points: Sequence[Point], cost: str) -> tuple[Point, ...]:
    """The front of accuracy against one of `COSTS`, of points on the same data."""
    known = [(p, value) for p in points if (value := COSTS[cost](p)) is not None]
    return tuple(p for p, _ in pareto_front(known, lambda k: (k[1], -k[0].accuracy)))


def in_order(points: Sequence[Point]) -> Iterator[tuple[tuple[str, str], list[Point]]]:
    """Points by (mark, network), each at ascending T."""
    for key in dict.fromkeys((p.mark, p.network) for p in points):
        chosen = [p for p in points if (p.mark, p.network) == key]
        yield key, sorted(chosen, key=lambda p: p.steps)
