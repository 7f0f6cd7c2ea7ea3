"""The sentences of a page that say what a sweep measured."""

from __future__ import annotations

from collections.abc import Iterable

from spikewright.measure import Reference, Sweep, SweepRow
from spikewright.measure.scores import ACCURACY, Score

CLOSE = 0.01
"""An accuracy is called close to the ANN's when it is less than one percentage point below."""
_EPSILON = 1e-12


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return f"{100 * fraction:.{digits}f} %"


def span_of(fractions: Iterable[float | None]) -> str:
    """The lowest and the highest as percentages, one where they read the same; not empty."""
    known = sorted(fraction or 0.0 for fraction in fractions)
    return " to ".join(dict.fromkeys((percent(known[0]), percent(known[-1]))))


def best(sweep: Sweep) -> tuple[SweepRow | None, SweepRow | None]:
    """The rows that come close to the ANN with the fewest steps, and with the lowest latency.

    Both None when no row is close, or there is no ANN to be close to, or no accuracy.
    """
    rows = [(row, sweep.reference_at(row.steps)) for row in sweep.rows]
    close = [(row, row.accuracy) for row, ann in rows if _is_close(row, ann)]
    if not close:
        return None, None
    fewest, _ = min(close, key=lambda c: (c[0].steps, c[0].latency, -(c[1] or 0.0)))
    fastest, _ = min(close, key=lambda c: (c[0].latency, c[0].steps, -(c[1] or 0.0)))
    return fewest, fastest


def _is_close(row: SweepRow, ann: Reference | None) -> bool:
    if ann is None or ann.accuracy is None:
        return False
    return (row.accuracy or 0.0) >= ann.accuracy - CLOSE - _EPSILON


def headline(sweep: Sweep) -> str:
    """The result of the sweep in a few sentences."""
    if sweep.score is not ACCURACY:
        return _headline_of_score(sweep)
    anns = [ann.value for ann in sweep.ann_scores.values()]
    fewest, fastest = best(sweep)
    opening = f"The ANN gets {span_of(anns)} right{_by_steps(sweep)}. " if anns else ""
    it = "it at the same T" if sweep.references else "it"
    if fewest is None or fastest is None:
        row = max(sweep.rows, key=lambda r: (r.accuracy or 0.0, -r.latency))
        missed = f"No conversion comes within one point of {it}. " if anns else ""
        return f"{opening}{missed}The most accurate: {_answer(row)}."
    if fewest is fastest:
        return (
            f"{opening}Within one point of {it}, with the fewest time steps and the lowest "
            f"latency: {_answer(fewest)}."
        )
    return (
        f"{opening}Within one point of {it}, with the fewest time steps: {_answer(fewest)}. "
        f"With the lowest latency: {_answer(fastest)}."
    )


def _headline_of_score(sweep: Sweep) -> str:
    """The best row by a metric or the relative error, and what the ANN reaches."""
    score = sweep.score
    known = [(row, e.value) for row in sweep.rows if (e := score.of(row)) is not None]
    if not known:
        return f"No network has a {score.name}."
    sign = -1 if score.higher_is_better else 1
    row, value = min(known, key=lambda pair: (sign * pair[1], pair[0].latency))
    anns = sorted(ann.value for ann in sweep.ann_scores.values())
    ends = " to ".join(dict.fromkeys(_valued(score, value) for value in (*anns[:1], *anns[-1:])))
    opening = f"The ANN's {score.name} is {ends}{_by_steps(sweep)}. " if anns else ""
    return (
        f"{opening}The {'highest' if score.higher_is_better else 'lowest'} {score.name}: "
        f"{row.network} at T = {row.steps}, {_valued(score, value)} after {_time(row)}."
    )


def _by_steps(sweep: Sweep) -> str:
    return ", by the data of each T" if sweep.references else ""


def _valued(score: Score, value: float) -> str:
    return f"{score.plain(value)} %" if score.percent else score.plain(value)


def _time(row: SweepRow) -> str:
    return "1 time step" if row.latency == 1 else f"{row.latency} time steps"


def _answer(row: SweepRow) -> str:
    right = percent(row.accuracy or 0.0)
    return f"{row.network} at T = {row.steps}, {right} right after {_time(row)}"


def caveats(sweep: Sweep) -> tuple[str, ...]:
    """What a reader must know before believing the figures."""
    samples = sweep.rows[0].samples
    sentences = [_size_caveat(sweep.score, samples, sweep.reference or sweep.rows[0])]
    if sweep.references:
        sentences.append(
            "The data were made for each T, and the ANN does not answer them alike. What stands "
            "beside a network is the ANN on the data of the same T; between columns both change."
        )
    slower = [row for row in sweep.rows if row.latency > row.steps]
    if slower:
        ratio = max(row.latency / row.steps for row in slower)
        sentences.append(
            "T is not the latency. Layers that wait for their whole window (two-phase, shuffled), "
            "a rehearsal (SRP, COS) and settling (spike tracers) take more: here networks answer "
            f"up to {ratio:.3g} times as late as one-phase IF of that T. Where time matters, "
            "compare by latency."
        )
    return tuple(sentences)


def _size_caveat(score: Score, samples: int, row: SweepRow | Reference) -> str:
    estimate = score.of(row)
    if estimate is None or estimate.low is None or estimate.high is None:
        return f"There are {samples:,} images; how sure a {score.name} of them is was not measured."
    half = (estimate.high - estimate.low) / 2
    if score is not ACCURACY:
        return (
            f"There are {samples:,} images: the 95 % interval of the mean {score.name} is about "
            f"± {score.width(half)} wide. Smaller differences between networks mean little."
        )
    return (
        f"There are {samples:,} images: one of them is {100 / samples:.2g} percentage points, and "
        f"the 95 % interval of an accuracy is about ± {100 * half:.1f} points wide. Smaller "
        "differences between networks mean little; the exact paired test in the table says more."
    )
