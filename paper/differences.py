"""How far one row of a network stands above another, in percentage points on the same images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paper.cell import ANN
from paper.rows import CONTROLS
from paper.tables import NOT_RUN, NetworkTable, Pair, by_method, paired, rows_with

SURE = 0.01
"""A difference is significant when the exact paired test gives a p-value below this."""


def differences(table: NetworkTable) -> list[list[str]]:
    """The lines of a table: what is compared, and a cell for every T.

    First every pair at the same T, then the rows that wait, against the one-phase baseline that is
    given as many time steps until its answer; its T stands in brackets.
    """
    return [
        [_title(table, line), *(_cell(line.at(table, t)) for t in table.steps)]
        for line in _lines(table)
    ]


def verdicts(tables: Sequence[NetworkTable]) -> list[list[str]]:
    """The lines of a table: on how many of these networks a difference is significant, at each T.

    Args:
        tables: of networks with the same rows, at the same T.
    """
    one = tables[0]
    return [
        [_title(one, line), *(_count([line.at(table, t) for table in tables]) for t in one.steps)]
        for line in _lines(one)
    ]


@dataclass(frozen=True)
class Difference:
    """The difference of two rows on the same images.

    Attributes:
        pair: the paired comparison.
        other: the T of the second row; None where it is that of the first.
    """

    pair: Pair
    other: int | None = None

    @property
    def significant(self) -> bool:
        return self.pair.p_value < SURE


@dataclass(frozen=True)
class Tally:
    """How many differences are significant.

    Attributes:
        above, below: significantly above and below 0.
        run: all of them, those of cells that were not run left out.
    """

    above: int
    below: int
    run: int

    @classmethod
    def of(cls, differences: Iterable[Difference | None]) -> Tally:
        """Count differences; None stands for one that was not run."""
        run = [difference for difference in differences if difference is not None]
        points = [difference.pair.points for difference in run if difference.significant]
        return cls(sum(p > 0 for p in points), sum(p < 0 for p in points), len(run))


@dataclass(frozen=True)
class Comparison:
    """Two rows to compare: at the same T, or the second at the largest T that answers no later."""

    first: str
    second: str
    no_later: bool = False

    def at(self, table: NetworkTable, steps: int) -> Difference | None:
        """The difference at a T of the first row; None where a cell was not run."""
        entry = table.entry(self.first, steps)
        if not self.no_later:
            pair = paired(entry, table.entry(self.second, steps))
            return None if pair is None else Difference(pair)
        rival = None if entry is None else table.no_later(self.second, entry.latency)
        pair = None if rival is None else paired(entry, rival[1])
        return None if rival is None or pair is None else Difference(pair, rival[0])


def _lines(table: NetworkTable) -> list[Comparison]:
    if table.levels is None:
        methods = [rows for _, *rows in by_method(table)]
        same = [
            line
            for base, tpp, nearest in methods
            for line in (Comparison(tpp, base), Comparison(nearest, tpp), Comparison(nearest, ANN))
        ]
        waiting = [(name, base) for base, *names in methods for name in names]
        shown = {row.name for row in table.rows}
        tracers = [name for name in rows_with(table, "tracer") if name in shown]
        waiting += [(name, f"{name.rpartition('-')[0]}-if") for name in tracers]
    else:
        same = [Comparison(name, "if") for name in ("shuffled", *CONTROLS, "srp", "cos", "tpp")]
        same += [
            Comparison("tpp", "shuffled"),
            Comparison("unbiased", "tpp"),
            Comparison("nearest", "tpp"),
        ]
        same += [Comparison(name, ANN) for name in ("if", "tpp", "nearest")]
        waiting = [(name, "if") for name in ("srp", "cos", "tpp", "nearest", "tracer")]
    return same + [Comparison(name, base, no_later=True) for name, base in waiting]


def _title(table: NetworkTable, line: Comparison) -> str:
    when = " that answers no later" if line.no_later else ""
    return f"{table.title_of(line.first)} against {table.title_of(line.second)}{when}"


def _cell(difference: Difference | None) -> str:
    if difference is None:
        return NOT_RUN
    points = f"{difference.pair.points:+.2f}{'' if difference.significant else ' n.s.'}"
    return points if difference.other is None else f"{points} (T = {difference.other})"


def _count(differences: Sequence[Difference | None]) -> str:
    """How many differences are significantly above and below 0, of how many that were run."""
    tally = Tally.of(differences)
    if not tally.run:
        return NOT_RUN
    ends = ((tally.above, "above"), (tally.below, "below"))
    return f"{', '.join(f'{n} {word}' for n, word in ends if n) or 'none'} of {tally.run}"
