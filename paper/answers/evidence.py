"""What answers are drawn from, and what several of them ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paper.answers.records import (
    BitsTuning,
    Codes,
    GainTuning,
    NQTuning,
    TandemTuning,
    read_records,
)
from paper.cell import ANN
from paper.differences import SURE, Comparison, Difference, Tally
from paper.tables import Entry, NetworkTable, paired, rows_with


@dataclass(frozen=True)
class Evidence:
    """Everything that was measured.

    Attributes:
        tables: the networks of the page.
        folder: the records beside the page, such as `docs/results`; None where there are none.
        codes: what codes come to, a network each.
        nq, tandem, bits, dsr, distil: what a fine-tuning gives, a network each.
    """

    tables: tuple[NetworkTable, ...]
    folder: Path | None = None
    codes: tuple[Codes, ...] = ()
    nq: tuple[NQTuning, ...] = ()
    tandem: tuple[TandemTuning, ...] = ()
    bits: tuple[BitsTuning, ...] = ()
    dsr: tuple[GainTuning, ...] = ()
    distil: tuple[GainTuning, ...] = ()

    @classmethod
    def of(cls, tables: Sequence[NetworkTable], folder: Path | None) -> Evidence:
        """Read the records beside the page.

        Raises:
            ExperimentError: for a damaged one.
        """
        return cls(
            tuple(tables),
            folder,
            codes=read_records(folder, "codes", Codes),
            nq=read_records(folder, "nq", NQTuning),
            tandem=read_records(folder, "tandem", TandemTuning),
            bits=read_records(folder, "bits", BitsTuning),
            dsr=read_records(folder, "dsr", GainTuning),
            distil=read_records(folder, "distil", GainTuning),
        )

    @property
    def qcfs(self) -> tuple[NetworkTable, ...]:
        """The networks trained with QCFS."""
        return tuple(table for table in self.tables if table.levels is not None)

    @property
    def relu(self) -> tuple[NetworkTable, ...]:
        """The networks with ReLU."""
        return tuple(table for table in self.tables if table.levels is None)

    def tally(self, first: str, second: str, no_later: bool = False) -> Tally:
        """Two neurons compared on all networks, with every calibration, at every T.

        Args:
            first, second: such as "nearest"; the second may be `ANN`.
            no_later: the second at the largest T at which it answers no later than the first.
        """
        return Tally.of(
            difference
            for table in self.tables
            for difference in differences(table, first, second, table.steps, no_later)
        )


def differences(
    table: NetworkTable, first: str, second: str, steps: Iterable[int], no_later: bool = False
) -> Iterator[Difference | None]:
    """Two neurons on one network with every calibration at these T; see `Evidence.tally`."""
    firsts = rows_with(table, first)
    seconds = (ANN,) * len(firsts) if second == ANN else rows_with(table, second)
    for names in zip(firsts, seconds, strict=True):
        for t in steps:
            yield Comparison(*names, no_later).at(table, t)


@dataclass(frozen=True)
class Enough:
    """The least T at which a neuron is not significantly below the ANN.

    Attributes:
        steps: that T.
        entry: what was measured at it, by the best calibration.
    """

    steps: int
    entry: Entry


def enough(table: NetworkTable, neuron: str, images: int | None = None) -> Enough | None:
    """The least T that is enough for a neuron; None where none of this table is.

    Args:
        table: of one network.
        neuron: such as "nearest".
        images: the first so many alone, as fewer tell fewer differences; all when None.
    """
    ann = table.first_seed(ANN, 0)
    for t in table.steps:
        level: list[Entry] = []
        for row in rows_with(table, neuron):
            entry = table.first_seed(row, t)
            pair = paired(entry, ann, images)
            if entry and pair and (pair.p_value >= SURE or pair.points > 0):
                level.append(entry)
        if level:
            return Enough(t, max(level, key=lambda entry: entry.first.accuracy))
    return None


def was_run(table: NetworkTable, neuron: str) -> bool:
    """Whether a neuron can be compared with the ANN of a network, at some T."""
    return any(difference for difference in differences(table, neuron, ANN, table.steps))


def span(values: Iterable[float], told: Callable[[float], str] = "{:,}".format) -> str:
    """A number, or the least and the largest of several, each as it is told."""
    ends = sorted(set(values))
    least, largest = told(ends[0]), told(ends[-1])
    return least if least == largest else f"{least} to {largest}"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence: "a", "a and b", "a, b and c"; empty for none."""
    if not parts:
        return ""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
