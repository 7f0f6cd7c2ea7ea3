"""The answer about fine-tuning, from a record of each method that has one."""

from __future__ import annotations

from statistics import mean

from paper.answers.evidence import Evidence, listed, span
from paper.answers.records import (
    BitsTuning,
    GainTuning,
    NQTuning,
    TandemTuning,
    TrainedRow,
)
from paper.differences import SURE
from paper.tables import NOT_RUN
from spikewright.measure import mcnemar_exact
from spikewright.methods.finetune import DSR, FINE_TUNINGS, NQ, Bits, Distil, Tandem


def what_tuning_gives(evidence: Evidence) -> str:
    """What each fine-tuning adds to conversion, and which of them has no record."""
    told = {
        NQ.name: [_noisy(record) for record in evidence.nq if record.rows],
        Tandem.name: [_tandem(record) for record in evidence.tandem if record.rows],
        Bits.name: [_sparse(record) for record in evidence.bits if record.rows],
        DSR.name: [_gain(DSR.name, record) for record in evidence.dsr if record.rows],
        Distil.name: [_gain(Distil.name, record) for record in evidence.distil if record.rows],
    }
    missing = [f"`{name}`" for name in FINE_TUNINGS if not told.get(name)]
    sentences = [sentence for found in told.values() for sentence in found]
    if missing:
        sentences.append(f"{NOT_RUN.capitalize()}: {listed(missing)}.")
    return " ".join(sentences)


def _noisy(record: NQTuning) -> str:
    gains: list[str] = []
    for t in sorted({row.steps for row in record.rows}):
        rows = [row for row in record.rows if row.steps == t]
        before = 100 * mean(row.before / row.images for row in rows)
        after = [100 * row.noisy / row.images for row in rows]
        gains.append(
            f"{mean(after) - before:+.1f} points at T = {t} ({before:.1f} % before, "
            f"{span(after, '{:.1f}'.format)} after, seeds: {len(rows)})"
        )
    better = sum(
        row.only_noisy > row.only_plain and mcnemar_exact(row.only_plain, row.only_noisy) < SURE
        for row in record.rows
    )
    settings = record.config
    return (
        f"`nq`, {settings.epochs} epochs on {settings.images:,} images, gives IF on "
        f"`{settings.source}` {listed(gains)}, and is above the same training without its noise in "
        f"{better} of {len(record.rows)} runs."
    )


def _tandem(record: TandemTuning) -> str:
    before = {row.name: row for row in record.rows if row.start is None}

    def gain(row: TrainedRow) -> str:
        """`start` names one of the conversions."""
        first, last = (100 * one.right / row.images for one in (before[row.start or ""], row))
        way = (
            f"from {first:.1f} to {last:.1f} %"
            if last != first
            else f"no further than {last:.1f} %"
        )
        return f"{way} as {row.start} converts it"

    gains: dict[str, list[str]] = {}
    for row in record.rows:
        if row.start is not None:
            method = row.name.partition(",")[0].lower()
            gains.setdefault(method, []).append(gain(row))
    first, *others = [(f"`{method}`", listed(found)) for method, found in gains.items()]
    settings = record.config
    also = "".join(f"; {method} does so {found}" for method, found in others)
    return (
        f"{first[0]}, {settings.epochs} epochs on {settings.images:,} images, brings IF at "
        f"T = {settings.steps} on `{settings.source}` {first[1]}{also}."
    )


def _sparse(record: BitsTuning) -> str:
    gains = [
        f"{row.spikes_before / row.spikes_after:.2f} times fewer spikes for "
        f"{100 * (row.after - row.before) / row.images:+.2f} points at T = {row.steps}"
        for row in record.rows
        if row.sparsity
    ]
    none = [f"{row.steps}" for row in record.rows if not row.sparsity]
    if none:
        gains.append(f"nothing at T = {listed(none)}, where every weight of its loss cost too much")
    settings = record.config
    return (
        f"`bits`, {settings.epochs} epochs on {settings.images:,} images, gives "
        f"`{settings.source}` in the binary code {listed(gains)}."
    )


def _gain(name: str, record: GainTuning) -> str:
    settings, rows = record.config, record.rows
    before = [100 * row.before / row.images for row in rows]
    after = [100 * row.after / row.images for row in rows]
    better = sum(
        row.only_after > row.only_before and mcnemar_exact(row.only_before, row.only_after) < SURE
        for row in rows
    )
    return (
        f"`{name}`, {settings.epochs} epochs on {settings.images:,} images, gives "
        f"`{settings.source}` as `{settings.conversion}` converts it "
        f"{mean(after) - mean(before):+.1f} points at T = {settings.steps} "
        f"({span(before, '{:.1f}'.format)} % before, {span(after, '{:.1f}'.format)} after, seeds: "
        f"{len(rows)}), and is significantly above conversion in {better} of {len(rows)} runs."
    )
