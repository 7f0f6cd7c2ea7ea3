"""The tables of docs/reservoir.md, made of its record."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from docs_tools.intervals import interval
from docs_tools.reservoir import DRAWN, KINDS, MEANS, RADII, WAYS, Memory, Record
from paper import markdown


def told(values: Sequence[float], digits: int = 2, sign: str = "") -> str:
    """A mean and half of its interval."""
    mean, half = interval(values)
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


def memory_rows(record: Record, table: str, setting: str) -> list[Memory]:
    """The memories of one row, by seed."""
    own = [m for m in record.memories if (m.table, m.setting) == (table, setting)]
    return sorted(own, key=lambda m: m.seed)


def drawn_table(record: Record) -> str:
    """Every distribution beside the homogeneous control."""
    control = memory_rows(record, "drawn", "homogeneous")
    rows: list[Sequence[str]] = []
    for name in DRAWN:
        own = memory_rows(record, "drawn", name)
        cells = [told([m.potentials for m in own]), told([m.filtered for m in own])]
        for value in ("potentials", "filtered"):
            apart = [
                getattr(m, value) - getattr(c, value) for m, c in zip(own, control, strict=True)
            ]
            cells.append("-" if own == control else told(apart, sign="+"))
        rows.append((name, *cells, f"{statistics.fmean(m.rate for m in own):.3f}"))
    head = ("drawn", "potentials", "filtered spikes", "difference", "difference", "rate")
    return markdown.table(head, rows)


def swept_table(record: Record, table: str, values: Sequence[float], title: str) -> str:
    """Both kinds over a mean time constant or a spectral radius."""
    rows: list[Sequence[str]] = []
    for value in values:
        both = [memory_rows(record, table, f"{kind} {value:g}") for kind in KINDS]
        cells = [told([m.potentials for m in own]) for own in both]
        cells += [told([m.filtered for m in own]) for own in both]
        cells += [f"{statistics.fmean(m.rate for m in own):.3f}" for own in both]
        rows.append((f"{value:g}", *cells))
    reads = [f"{read}, {kind}" for read in ("potentials", "filtered", "rate") for kind in KINDS]
    return markdown.table((title, *reads), rows)


def best_difference(record: Record, value: str) -> tuple[str, str, str]:
    """The best mean time constant of either kind, and how far gamma is above homogeneous there."""
    best: list[list[Memory]] = []
    for kind in KINDS:
        every = [memory_rows(record, "mean", f"{kind} {mean:g}") for mean in MEANS]
        best.append(max(every, key=lambda own: sum(getattr(m, value) for m in own)))
    control, mixed = best
    apart = [getattr(m, value) - getattr(c, value) for m, c in zip(mixed, control, strict=True)]
    low, high = (own[0].setting.split()[1] for own in best)
    return low, high, told(apart, sign="+")


def pruned_table(record: Record, kind: str) -> str:
    """One kind of reservoir, whole and pruned."""
    rows: list[Sequence[str]] = []
    whole = [p for p in record.pruned if (p.kind, p.way) == (kind, "none")]
    for way in ("none", *WAYS):
        own = [p for p in record.pruned if (p.kind, p.way) == (kind, way)]
        cells = [told([p.largest for p in own], 3)]
        cells.append("-" if way == "none" else told([p.moved for p in own], 3))
        for value in ("potentials", "filtered"):
            capacities = [getattr(p.memory, value) for p in own]
            lost = [c - getattr(p.memory, value) for c, p in zip(capacities, whole, strict=True)]
            cells.append(told(capacities) if way == "none" else told(lost, sign="+"))
        edges, passed = (statistics.fmean(getattr(p, v) for p in own) for v in ("edges", "events"))
        rows.append((way, f"{edges:,.0f}", f"{passed:,.0f}", *cells))
    head = ("pruned by", "edges", "events", "largest exponent", "exponents moved")
    return markdown.table((*head, "MC, potentials", "MC, filtered spikes"), rows)


def moved_difference(record: Record, kind: str, other: str) -> str:
    """How much further noise-driven pruning moves the exponents than another way."""
    noise, others = (
        [p.moved for p in record.pruned if (p.kind, p.way) == (kind, way)]
        for way in ("noise", other)
    )
    return told([a - b for a, b in zip(noise, others, strict=True)], 3, "+")


def slowest_difference(record: Record, kept: float, other: str) -> str:
    """By how many points noise-driven pruning errs more in the slow modes than another way."""
    noise, others = (
        [100 * row.slowest for row in record.linear if (row.way, row.kept) == (way, kept)]
        for way in ("noise", other)
    )
    return told([a - b for a, b in zip(noise, others, strict=True)], 1, "+")


def linear_table(record: Record) -> str:
    """The linear networks."""
    shares = sorted({row.kept for row in record.linear}, reverse=True)
    rows: list[Sequence[str]] = []
    for way in WAYS:
        cells: list[str] = []
        for share in shares:
            own = [row for row in record.linear if (row.way, row.kept) == (way, share)]
            for value in ("error", "slowest"):
                cells.append(told([100 * getattr(row, value) for row in own], 1) + " %")
        rows.append((way, *cells))
    head = [
        f"{what}, {100 * share:.0f} % kept"
        for share in shares
        for what in ("all eigenvalues", "between clusters")
    ]
    return markdown.table(("pruned by", *head), rows)


def tables(record: Record) -> tuple[str, ...]:
    """All tables of the page."""
    return (
        drawn_table(record),
        swept_table(record, "mean", MEANS, "mean τ"),
        swept_table(record, "radius", RADII, "spectral radius"),
        *(pruned_table(record, kind) for kind in KINDS),
        linear_table(record),
    )
