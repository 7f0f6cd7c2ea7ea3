"""The tables of docs/intrinsic.md, made of its record."""

from __future__ import annotations

from collections.abc import Sequence

from docs_tools.intervals import interval
from docs_tools.intrinsic import THRESHOLDS, WIDTHS, Record
from docs_tools.intrinsic_training import TASKS, VARIANTS
from paper import markdown


def shown(values: Sequence[float]) -> str:
    """Eigenvalues in a cell."""
    return ", ".join(f"{value:.4f}" for value in values)


def tables(record: Record) -> tuple[str, ...]:
    """All tables of the page."""
    eigen = [
        (m.case, shown(m.calculated), shown(m.simulated), f"{m.difference:.0e}")
        for m in record.modes
    ]
    single = [
        (
            f"{row.weight:g}",
            f"{row.eigenvalue:.4f}",
            "infinite" if row.time_constant is None else f"{row.time_constant:.3f}",
            "-" if row.simulated is None else f"{row.simulated:.3f}",
            str(row.spikes),
        )
        for row in record.topology
    ]
    rates = [
        [f"{f.silent:.3f}, {f.driven:.3f}" for f in record.firing if f.threshold == threshold]
        for threshold in THRESHOLDS
    ]
    fired = [(f"{t:g}", *row) for t, row in zip(THRESHOLDS, rates, strict=True)]
    trained: list[Sequence[str]] = []
    for variant in VARIANTS:
        cells: list[str] = []
        for task in TASKS:
            cells.append(told([100 * a for a in accuracies(record, task, variant)]) + " %")
            above = "-" if variant == "none" else difference(record, task, variant, "none")
            cells.append(above)
        trained.append((variant, *cells))
    widths = [f"width {w:g}" if w else "at the threshold" for w in WIDTHS]
    heads = [cell for task in TASKS for cell in (task, "points above none")]
    return (
        markdown.table(("connection", "calculated", "simulated", "largest difference"), eigen),
        markdown.table(("v", "eigenvalue", "time constant", "simulated", "spikes"), single),
        markdown.table(("θ", *widths), fired),
        markdown.table(("structure", *heads), trained),
    )


def accuracies(record: Record, task: str, variant: str) -> list[float]:
    """On the test split, by seed."""
    own = [run for run in record.runs if (run.task, run.variant) == (task, variant)]
    return [run.test for run in sorted(own, key=lambda run: run.seed)]


def difference(record: Record, task: str, variant: str, other: str) -> str:
    """By how many points one structure is above another, seed by seed."""
    both = (accuracies(record, task, name) for name in (variant, other))
    return told([100 * (a - b) for a, b in zip(*both, strict=True)], "+")


def told(values: Sequence[float], sign: str = "") -> str:
    """A mean and half of its interval."""
    mean, half = interval(values)
    return f"{mean:{sign}.1f} ± {half:.1f}"
