"""The sentences of a page that say what a sweep measured."""

from __future__ import annotations

import math

from spikewright.measure import Reference, Sweep, SweepRow

CLOSE = 0.01
"""An accuracy is called close to the ANN's when it is less than one percentage point below."""
_EPSILON = 1e-12


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return f"{100 * fraction:.{digits}f} %"


def best(sweep: Sweep) -> tuple[SweepRow | None, SweepRow | None]:
    """The rows that come close to the ANN with the fewest steps, and with the lowest latency.

    Both None when no row is close, or there is no ANN to be close to.
    """
    reference = sweep.reference
    least = math.inf if reference is None else reference.accuracy - CLOSE - _EPSILON
    close = [row for row in sweep.rows if row.accuracy >= least]
    if not close:
        return None, None
    fewest = min(close, key=lambda r: (r.steps, r.latency, -r.accuracy))
    fastest = min(close, key=lambda r: (r.latency, r.steps, -r.accuracy))
    return fewest, fastest


def headline(sweep: Sweep) -> str:
    """The result of the sweep in a few sentences."""
    reference = sweep.reference
    fewest, fastest = best(sweep)
    opening = "" if reference is None else f"The ANN gets {percent(reference.accuracy)} right. "
    if fewest is None or fastest is None:
        row = max(sweep.rows, key=lambda r: (r.accuracy, -r.latency))
        missed = "" if reference is None else "No conversion comes within one point of it. "
        return f"{opening}{missed}The most accurate: {_answer(row)}."
    if fewest is fastest:
        return (
            f"{opening}Within one point of it, with the fewest time steps and the lowest latency: "
            f"{_answer(fewest)}."
        )
    return (
        f"{opening}Within one point of it, with the fewest time steps: {_answer(fewest)}. "
        f"With the lowest latency: {_answer(fastest)}."
    )


def _answer(row: SweepRow) -> str:
    steps = "1 time step" if row.latency == 1 else f"{row.latency} time steps"
    return f"{row.network} at T = {row.steps}, {percent(row.accuracy)} right after {steps}"


def caveats(sweep: Sweep) -> tuple[str, ...]:
    """What a reader must know before believing the figures."""
    samples = sweep.rows[0].samples
    sentences = [_size_caveat(samples, sweep.reference or sweep.rows[0])]
    slower = [row for row in sweep.rows if row.latency > row.steps]
    if slower:
        ratio = max(row.latency / row.steps for row in slower)
        sentences.append(
            "T is not the latency. A two-phase or shuffled layer answers only after its whole "
            f"window, so at the same T such a network answers up to {ratio:.3g} times as late as "
            "one-phase IF. Where time matters, compare by latency."
        )
    return tuple(sentences)


def _size_caveat(samples: int, row: SweepRow | Reference) -> str:
    half = (row.high - row.low) / 2
    return (
        f"There are {samples:,} images: one of them is {100 / samples:.2g} percentage points, and "
        f"the 95 % interval of an accuracy is about ± {100 * half:.1f} points wide. Smaller "
        "differences between networks mean little; the exact paired test in the table says more."
    )
