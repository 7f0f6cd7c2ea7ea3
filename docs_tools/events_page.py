"""What docs/events.md says of the record of `docs_tools.events`, every figure computed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from docs_tools.events import SEEDS, Record, Row
from paper import markdown
from spikewright.measure.answers import Accuracy

HEAD = (
    "neuron",
    "T",
    "count engine",
    "step engine",
    "counts that differ, float32 / float64",
    "the ANN's answer",
    "mean frame instead",
    "after T steps",
    "steps until the answer",
)


def table(record: Record) -> str:
    """The table under its title, which says that the recordings are simulated."""
    ann = _accuracy((record.ann,), record)
    title = (
        f"**SIMULATED recordings as T frames: accuracy in % on {record.recordings} for testing; "
        f"the ANN gets {ann} of their mean frames**"
    )
    return f"{title}\n\n{markdown.table(HEAD, [_cells(row, record) for row in record.rows])}"


def refusals(record: Record) -> str:
    """What refuses frames, and why, in the words of the library."""
    return "\n".join(
        f"- `{name}`: {reason.partition(': ')[0]}." for name, reason in record.refusals.items()
    )


def findings(record: Record) -> str:
    """What the rows come to."""
    return "\n".join((_engines(record), _times(record), _order(record)))


def _engines(record: Record) -> str:
    exact = [row for row in record.rows if row.differ]
    digits, others = (
        max(row.differ[0] for row in exact if row.neuron.endswith(":digits") == wanted)
        for wanted in (True, False)
    )
    double = sum(row.differ[1] for row in exact)
    same = sum(row.counted == row.stepped for row in exact)
    drawn = [row for row in record.rows if row.neuron == "tpp"]
    apart = max(abs(statistics.fmean(r.counted) - statistics.fmean(r.stepped)) for r in drawn)
    return (
        f"- **The engines agree.** Where a neuron draws nothing, {double} counts differ in float64 "
        f"and at most {others:,} of {record.recordings * record.counts:,} in float32 "
        f"({digits:,} with digits, which round finer); as many recordings are right in {same} of "
        f"{len(exact)} rows. TPP draws other numbers in each engine: means over {SEEDS} seeds are "
        f"at most {_percent(apart, record)} points apart."
    )


def _times(record: Record) -> str:
    every = sorted({row.steps for row in record.rows})

    def each(neuron: str, value: Callable[[Row], object]) -> str:
        found = {row.steps: value(row) for row in record.rows if row.neuron == neuron}
        return " / ".join(f"{found[t]}" for t in every)

    early = each("tracer", lambda row: _percent(row.in_window or 0, record))
    return (
        f"- **The answer** of `nearest` comes after {each('nearest', lambda row: row.latency)} "
        f"steps at T = {' / '.join(map(str, every))}, that of the spike tracer, the same, after "
        f"{each('tracer', lambda row: row.latency)}. When the frames are over, the tracer has "
        f"{early} % right."
    )


def _order(record: Record) -> str:
    (row,) = (r for r in record.rows if (r.neuron, r.steps) == ("if", record.rows[-1].steps))
    return (
        f"- **Integrate-and-fire sees what comes when:** at T = {row.steps} it gets "
        f"{_percent(row.stepped[0], record)} % right of the frames, and "
        f"{_percent(row.still, record)} % where their mean is shown at every step."
    )


def _cells(row: Row, record: Record) -> tuple[str, ...]:
    engines = (_accuracy(right, record) for right in (row.counted, row.stepped))
    differ = " / ".join(f"{n:,}" for n in row.differ)
    told = f"{differ} of {record.recordings * record.counts:,}" if differ else "-"
    shares = (_percent(right, record) for right in (row.as_ann, row.still))
    early = "-" if row.in_window is None else _percent(row.in_window, record)
    return (f"`{row.neuron}`", f"{row.steps}", *engines, told, *shares, early, f"{row.latency}")


def _accuracy(right: Sequence[int], record: Record) -> str:
    """In %, with its Wilson interval; over several seeds the mean ± the standard deviation."""
    if not right:
        return "refused"
    mean = Accuracy(statistics.fmean(right), record.recordings)
    low, high = (f"{100 * end:.1f}" for end in mean.interval)
    spread = f" ± {_percent(statistics.stdev(right), record)}" if len(right) > 1 else ""
    return f"{_percent(mean.right, record)}{spread} ({low}–{high})"


def _percent(count: float, record: Record) -> str:
    return f"{100 * count / record.recordings:.1f}"


PARTS = (table, findings, refusals)
"""What the page has of a record."""
