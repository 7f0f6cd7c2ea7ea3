"""The answer about fine-tuning, from a record of each method that has one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from paper.answers.evidence import Evidence, listed
from paper.answers.records import BitsTuning, GainTuning, NQTuning, TandemTuning
from paper.tables import NOT_RUN
from spikewright.methods.finetune import DSR, FINE_TUNINGS, NQ, Bits, Distil

_WORTH_IT = 1.0
"""Points of accuracy beyond which a gain is told first."""


def what_tuning_gives(evidence: Evidence) -> str:
    """What each fine-tuning adds to conversion, the most first, and which has no record."""
    gains = sorted(_gains(evidence), key=lambda gain: gain.points, reverse=True)
    much = [gain for gain in gains if gain.points > _WORTH_IT]
    little = [gain for gain in gains if gain.points <= _WORTH_IT]
    parts = [
        f"{_told(some)} {give}" for some, give in ((much, "more"), (little, "no more")) if some
    ]
    sentences = [f"{' than a point, and '.join(parts)} than a point."] if parts else []
    sentences += [_sparse(record) for record in evidence.bits if record.rows]
    tried = {gain.method for gain in gains} | {Bits.name for record in evidence.bits if record.rows}
    missing = [f"`{name}`" for name in FINE_TUNINGS if name not in tried]
    if missing:
        sentences.append(f"{NOT_RUN.capitalize()}: {listed(missing)}.")
    return " ".join(sentences)


@dataclass(frozen=True)
class _Gain:
    """What a method added to one conversion at one T.

    Attributes:
        method: by name.
        steps: T.
        before, after: accuracy in percent, means over seeds.
    """

    method: str
    steps: int
    before: float
    after: float

    @property
    def points(self) -> float:
        return self.after - self.before


def _gains(evidence: Evidence) -> Iterator[_Gain]:
    for noisy in evidence.nq:
        yield from _of_nq(noisy)
    for tandem in evidence.tandem:
        yield from _of_tandem(tandem)
    for name, records in ((DSR.name, evidence.dsr), (Distil.name, evidence.distil)):
        for record in records:
            if record.rows:
                yield _of_seeds(name, record)


def _of_nq(record: NQTuning) -> Iterator[_Gain]:
    for t in sorted({row.steps for row in record.rows}):
        rows = [row for row in record.rows if row.steps == t]
        before = mean(row.before / row.images for row in rows)
        after = mean(row.noisy / row.images for row in rows)
        yield _Gain(NQ.name, t, 100 * before, 100 * after)


def _of_tandem(record: TandemTuning) -> Iterator[_Gain]:
    """The name of a row begins with its method."""
    converted = {row.name: row for row in record.rows if row.start is None}
    for row in record.rows:
        if row.start is None:
            continue
        method = row.name.partition(",")[0].lower()
        before, after = (100 * one.right / one.images for one in (converted[row.start], row))
        yield _Gain(method, record.config.steps, before, after)


def _of_seeds(name: str, record: GainTuning) -> _Gain:
    before = mean(row.before / row.images for row in record.rows)
    after = mean(row.after / row.images for row in record.rows)
    return _Gain(name, record.config.steps, 100 * before, 100 * after)


def _told(gains: Sequence[_Gain]) -> str:
    """Gains by method: "`dsr` (+14.7 at T = 4 from 68.0 %) and `nq` (...) give"."""
    methods = dict.fromkeys(gain.method for gain in gains)
    each = [
        f"`{method}` ({_amounts(gain for gain in gains if gain.method == method)})"
        for method in methods
    ]
    return f"{listed(each)} {'gives' if len(each) == 1 else 'give'}"


def _amounts(gains: Iterable[_Gain]) -> str:
    return ", ".join(
        f"{gain.points:+.1f} at T = {gain.steps} from {gain.before:.1f} %" for gain in gains
    )


def _sparse(record: BitsTuning) -> str:
    """What the loss of spikes saves, beside the network as it came."""
    starts = {row.steps: row for row in record.rows if row.sparsity is None}
    gains = [
        f"{starts[row.steps].spikes / row.spikes:.2f} times fewer spikes for "
        f"{100 * (row.right - starts[row.steps].right) / row.images:+.2f} points at T = {row.steps}"
        for row in record.rows
        if row.sparsity
    ]
    return f"`{Bits.name}` gives {listed(gains)}."
