"""Cell records become the entries of a table: means and spreads over seeds, paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from torch import Tensor

from paper.cell import ANN, ANN_IN_DOUBLE, Cell, CellRecord, unpacked
from paper.rows import IN_DOUBLE, Row, rows_for
from paper.store import NetworkStore, stores_of
from spikewright.errors import ExperimentError
from spikewright.measure import mcnemar_exact, paired_interval, wilson_interval

DATA_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagefolder": "images by folder"}

NOT_RUN = "not run"
"""The mark of a cell without a record."""


@dataclass(frozen=True)
class Entry:
    """One row at one T, over its seeds.

    Attributes:
        accuracy: the mean over seeds, a fraction.
        low, high: Wilson 95 % interval at that mean for `images` trials: every seed sees the same
            images, so more seeds make their choice no less random.
        spread: standard deviation over seeds (n - 1); 0 for one.
        images: measured with each seed.
        spikes_per_image: mean over seeds.
        first: the record of the first seed.
        seeds: how many there are.
    """

    accuracy: float
    low: float
    high: float
    spread: float
    images: int
    spikes_per_image: float
    first: CellRecord
    seeds: int

    @property
    def latency(self) -> int:
        """Time steps from the first input to the answer."""
        return self.first.latency

    def first_seed_accuracy(self, images: int) -> float:
        """The accuracy of the first seed on the first images, at most as many as were measured."""
        return float(_right(self.first, images).double().mean())

    @property
    def energy(self) -> Mapping[str, float]:
        """Estimates for one image in nJ, of the first seed; empty where it was not counted."""
        return self.first.energy


def entry_of(records: Sequence[CellRecord]) -> Entry | None:
    """The entry of a row at one T; None when it was not run.

    Raises:
        ExperimentError: when seeds saw different numbers of images.
    """
    if not records:
        return None
    counts = {record.images for record in records}
    if len(counts) > 1:
        raise ExperimentError(
            f"seeds of row '{records[0].cell.row}' at T = {records[0].cell.steps} were measured on "
            f"{sorted(counts)} images; remove the records of one kind"
        )
    images = counts.pop()
    accuracy = mean(record.accuracy for record in records)
    low, high = wilson_interval(min(accuracy * images, images), images)
    return Entry(
        accuracy,
        low,
        high,
        stdev(record.accuracy for record in records) if len(records) > 1 else 0.0,
        images,
        mean(record.spikes_per_image for record in records),
        records[0],
        len(records),
    )


@dataclass(frozen=True)
class NetworkTable:
    """All entries of one network.

    Attributes:
        configuration: what its `network.json` holds.
        ann: the source network; None when it was not run.
        rows: every row that belongs to such a network.
        steps: every T, ascending.
        entries: by row name and T; a cell that was not run is absent.
        in_double: what was measured in float64, `ANN_IN_DOUBLE` and `IN_DOUBLE`, by row name.
        has_training: whether the cards of its training are kept with its results.
    """

    configuration: Mapping[str, Any]
    ann: CellRecord | None
    rows: tuple[Row, ...]
    steps: tuple[int, ...]
    entries: Mapping[tuple[str, int], Entry]
    in_double: Mapping[str, CellRecord]
    has_training: bool = False

    @property
    def name(self) -> str:
        """The folder of its results."""
        return self.configuration["name"]

    @property
    def levels(self) -> int | None:
        """L of a QCFS network; None for ReLU."""
        return self.configuration["levels"]

    @property
    def title(self) -> str:
        """Data set, architecture and activation."""
        data = self.configuration["data"]
        activation = "ReLU" if self.levels is None else f"QCFS, L = {self.levels}"
        where = DATA_TITLES.get(data, data)
        return f"{where}, {self.configuration['architecture']}, {activation}"

    @property
    def int8_nj(self) -> float | None:
        """The energy of the ANN with weights and activations of 8 bits; None if not counted.

        Records hold it with activations of the few bits that counts need. It grows by the same with
        every bit (`EnergyModel.integer_nj`), so that two widths give that of any.
        """
        energies = [entry.energy for entry in self.entries.values() if entry.energy]
        by_bits = {energy["ann_bits"]: energy["ann_quantised_nj"] for energy in energies}
        if len(by_bits) < 2:
            return None
        few, many = min(by_bits), max(by_bits)
        return by_bits[many] + (8 - many) * (by_bits[many] - by_bits[few]) / (many - few)

    def entry(self, row: str, steps: int) -> Entry | None:
        """A row at one T, or the `ANN` whatever T; None when it was not run."""
        if row == ANN:
            return None if self.ann is None else entry_of([self.ann])
        return self.entries.get((row, steps))

    def first_seed(self, row: str, steps: int) -> Entry | None:
        """The entry as in `entry`; None also where seed 0 was not run, which alone is compared."""
        entry = self.entry(row, steps)
        return entry if entry is not None and entry.first.hits else None

    def title_of(self, row: str) -> str:
        """What a row is called; the source network is the ANN."""
        return {ANN: "ANN", **{known.name: known.title for known in self.rows}}[row]

    def no_later(self, row: str, latency: int) -> tuple[int, Entry] | None:
        """The largest T at which a row answers no later than that, with its entry."""
        entries = [
            (t, entry)
            for t in self.steps
            if (entry := self.entry(row, t)) is not None and entry.latency <= latency
        ]
        return max(entries, key=lambda pair: pair[0], default=None)


def table_of(store: NetworkStore, steps: Sequence[int]) -> NetworkTable:
    """The table of a network at every T of `steps`; other T in the folder are left out.

    Raises:
        ExperimentError: for damaged or contradicting records.
    """
    configuration = store.configuration()
    records = store.records()
    rows = rows_for(configuration["levels"])
    entries: dict[tuple[str, int], Entry] = {}
    for row in rows:
        for t in steps:
            of_cell = [r for c, r in records.items() if (c.row, c.steps) == (row.name, t)]
            entry = entry_of(sorted(of_cell, key=lambda record: record.cell.seed))
            if entry is not None:
                entries[row.name, t] = entry
    measured = {name for name, _ in entries}
    rows = tuple(row for row in rows if row.calibration_samples is None or row.name in measured)
    ann = records.get(Cell(ANN, 0, 0))
    in_double = {c.row: r for c, r in records.items() if c.row in (ANN_IN_DOUBLE, IN_DOUBLE.name)}
    return NetworkTable(
        configuration, ann, rows, tuple(sorted(steps)), entries, in_double, store.has_training
    )


def tables_of(results: Path, steps: Sequence[int]) -> list[NetworkTable]:
    """The tables of all networks of a folder, QCFS networks first.

    Raises:
        ExperimentError: when there is none; for damaged or contradicting records.
    """
    tables = [table_of(store, steps) for store in stores_of(results)]
    if not tables:
        raise ExperimentError(
            f"'{results}' holds no results; run python -m paper tables --out {results}"
        )
    return sorted(
        tables, key=lambda t: (t.levels is None, t.configuration["data"], t.title, t.name)
    )


def by_method(table: NetworkTable) -> list[tuple[str, str, str, str]]:
    """The methods of a ReLU network, each with its rows with IF, TPP and nearest."""
    names = list(dict.fromkeys(row.name.partition("-")[0] for row in table.rows))
    titles = {row.name.partition("-")[0]: row.title.partition(",")[0] for row in table.rows}
    return [(titles[name], f"{name}-if", f"{name}-tpp", f"{name}-nearest") for name in names]


def rows_with(table: NetworkTable, neuron: str) -> tuple[str, ...]:
    """The rows of a network with a neuron, such as "nearest": one for every calibration."""
    if table.levels is not None:
        return (neuron,)
    return tuple(f"{base.rpartition('-')[0]}-{neuron}" for _, base, *_ in by_method(table))


@dataclass(frozen=True)
class Pair:
    """Two rows compared on the same images, with the first seed.

    Attributes:
        images: the images that both were measured on.
        only_first, only_second: images that one of them alone gets right.
        p_value: of the exact McNemar test.
    """

    images: int
    only_first: int
    only_second: int
    p_value: float

    @property
    def points(self) -> float:
        """How far the first is above the second, in percentage points."""
        return 100 * (self.only_first - self.only_second) / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of its 95 % interval, in percentage points."""
        low, high = paired_interval(self.only_first, self.only_second, self.images)
        return 100 * low, 100 * high


def paired(first: Entry | None, second: Entry | None, images: int | None = None) -> Pair | None:
    """Compare two entries image by image; None when either was not run with seed 0.

    Args:
        first, second: of two rows.
        images: the first so many alone; those that both were measured on when None.
    """
    if first is None or second is None or not first.first.hits or not second.first.hits:
        return None
    common = min(first.images, second.images)  # they stand in one order: a subset is a beginning
    count = common if images is None else min(common, images)
    a, b = _right(first.first, count), _right(second.first, count)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    return Pair(count, only_a, only_b, mcnemar_exact(only_a, only_b))


def _right(record: CellRecord, images: int) -> Tensor:
    """The images that a record of a first seed got right, of the first so many; bool `[images]`."""
    return unpacked(record.hits or "", record.images)[:images]
