"""The first bad layer of a network, and its error in words: what it is, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spikewright.errors import ConversionError
from spikewright.measure import LayerError
from spikewright.neurons import Neuron
from spikewright.neurons.registry import labelled, window_in

BAD = 0.25
"""A layer is called bad from a total error of a quarter of its activation (root mean squares)."""
LOSSLESS = 0.005
"""A largest error below this is reported as none: it rounds to less than one per cent."""
CAUSES = ("clipping", "rounding", "unevenness")
"""The terms that a layer adds to the error of its input."""


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one network at one T, and where it begins.

    Attributes:
        network: its name.
        steps: T.
        layer: the first with an error of at least `BAD`; None when there is none.
        error: that layer's total error, a fraction of its activation; without one, the largest.
        worst: the layer with the largest error.
        inherited: the part of the error that came with its input, at the layer described.
        cause: the largest term that the layers up to there add: one of `CAUSES`; "none" where no
            layer errs by `LOSSLESS`.
        share: that cause's error at the layer described.
        explanation, meaning, advice: the whole diagnosis, the cause alone, and what to try;
            the last two are empty where no layer errs.
    """

    network: str
    steps: int
    layer: str | None
    error: float
    worst: str
    inherited: float
    cause: str
    share: float
    explanation: str
    meaning: str
    advice: str


def diagnose(errors: Sequence[LayerError], network: str | None = None) -> Diagnosis:
    """Name the first bad layer and the cause of its error.

    The cause is the one whose squares, added up over the layers from the first to the bad one, are
    largest: an error that is inherited was made by some of them.

    Args:
        errors: one for each layer of a network at one T, in the order in which they run.
        network: the name to use; the one in the errors when None.
    """
    worst = max(errors, key=lambda e: e.total)
    bad = next((number for number, e in enumerate(errors) if e.total >= BAD), None)
    shown = worst if bad is None else errors[bad]
    before = errors[: errors.index(shown) + 1]
    cause = max(CAUSES, key=lambda c: sum(getattr(e, c) ** 2 for e in before))
    name = shown.network if network is None else network
    if worst.total < LOSSLESS:
        return _lossless(worst, name)
    return Diagnosis(
        network=name,
        steps=shown.steps,
        layer=None if bad is None else shown.site,
        error=shown.total,
        worst=worst.site,
        inherited=shown.inherited,
        cause=cause,
        share=getattr(shown, cause),
        explanation=_explanation(shown, bad is None, cause),
        meaning=_meaning(cause, shown),
        advice=_advice(cause, shown),
    )


def _lossless(worst: LayerError, name: str) -> Diagnosis:
    return Diagnosis(
        network=name,
        steps=worst.steps,
        layer=None,
        error=worst.total,
        worst=worst.site,
        inherited=worst.inherited,
        cause="none",
        share=0.0,
        explanation="Its layers send what the ANN’s send: no error reaches half a per cent of an "
        "activation.",
        meaning="",
        advice="",
    )


def _explanation(shown: LayerError, good: bool, cause: str) -> str:
    share = getattr(shown, cause)
    head = (
        f"No layer errs by {_percent(BAD)} of its activation or more; the largest is "
        f"{_percent(shown.total)}, at {shown.site}."
        if good
        else f"{shown.site} is the first layer whose error reaches {_percent(BAD)} of its "
        f"activation: {_percent(shown.total)}."
    )
    part = f"{cause} ({_percent(share)} here): {_meaning(cause, shown)}."
    if shown.inherited > share:
        return (
            f"{head} {_percent(shown.inherited)} came with its input; of what the layers up to it "
            f"add, the largest part is {part}"
        )
    return f"{head} The largest part is {part}"


def _kind(shown: LayerError) -> str:
    """The label of a layer's neurons."""
    return shown.neuron or shown.network


def _window(shown: LayerError) -> int:
    """The time steps of a layer's window: its own, or T."""
    return window_in(_kind(shown)) or shown.steps


def _levels(neuron: Neuron | None, shown: LayerError) -> int:
    """L, the largest count of a layer; T of neurons that are not known."""
    return _window(shown) if neuron is None else neuron.levels(_window(shown))


def _longer(shown: LayerError) -> str:
    """What lengthens a layer's window."""
    if window_in(_kind(shown)) is None:
        return "more time steps"
    return "a conversion with a longer window there"


def _meaning(cause: str, shown: LayerError) -> str:
    """What a cause is for the neurons of a layer."""
    kind, steps = _kind(shown), _window(shown)
    neuron = labelled(kind)
    if cause == "clipping":
        return "activations above the threshold are cut off"
    if cause == "rounding":
        lost = "; a hard reset also throws charge away" if _resets_hard(kind) else ""
        levels = _levels(neuron, shown)
        if shown.trained_levels not in (0, levels):
            trained = shown.trained_levels
            return (
                f"the ANN itself tells no more than {trained + 1:,} values apart there (QCFS, L = "
                f"{trained}), and T = {steps} time steps tell {levels + 1:,}: they round "
                f"elsewhere{lost}"
            )
        if neuron is not None and neuron.reads_law:
            return (
                "the probabilistic neuron sends, on average, more than a small charge calls for "
                "(its count law is biased)"
            )
        return f"T = {steps} time steps tell no more than {levels + 1:,} values apart{lost}"
    if neuron is not None and neuron.has_count_law:
        return "the draws add noise, since a charge between two counts is rounded by chance"
    return (
        "spikes come too early or too late, so neurons fire more or less often than their whole "
        "input calls for"
    )


def _advice(cause: str, shown: LayerError) -> str:
    kind, longer = _kind(shown), _longer(shown)
    neuron = labelled(kind)
    if cause == "clipping":
        return (
            "higher thresholds (--threshold percentile:99.9 or maximum), or, with thresholds by "
            f"minerror, {longer}, by which it can raise them"
        )
    if cause == "rounding":
        if shown.trained_levels:
            return _as_trained(neuron, shown)
        if neuron is not None and neuron.reads_law:
            return f"nearest or unbiased in place of TPP, or {longer}"
        ways = (
            "a soft reset (if in place of if-hard)" if _resets_hard(kind) else "",
            _finer(neuron, shown),
            "thresholds a channel (--threshold minerror:channel)" if shown.thresholds == 1 else "",
            "or a network trained for few levels (train --activation qcfs)",
        )
        return ", ".join(filter(None, ways)).removeprefix("or ")
    if neuron is not None and neuron.has_count_law:
        return f"nearest, which draws nothing, or {longer}"
    return f"a two-phase neuron such as nearest, which waits for its whole input, or {longer}"


def _as_trained(neuron: Neuron | None, shown: LayerError) -> str:
    """How neurons round as a QCFS unit does: they count to its L, at the threshold it learned."""
    kind, wanted = "nearest", shown.trained_levels
    steps = wanted
    if neuron is not None and neuron.has_count_law and not neuron.stochastic:
        enough = next((t for t in range(1, wanted + 1) if neuron.levels(t) >= wanted), None)
        if enough is not None and neuron.levels(enough) == wanted:
            kind, steps = neuron.label, enough
    rounds = "rounds as the ANN does"
    if _levels(neuron, shown) == wanted:
        return f"the learned thresholds (--threshold learned), with which {kind} {rounds}"
    own = window_in(_kind(shown)) is not None
    window = "a conversion with a window of " if own else ""
    time = f"T = L = {wanted}" if steps == wanted else f"T = {steps} (L = {wanted})"
    return f"{window}{time}, where {kind} with learned thresholds (--threshold learned) {rounds}"


def _finer(neuron: Neuron | None, shown: LayerError) -> str:
    """How a longer window tells more values apart, where it does."""
    steps, longer = _window(shown), _longer(shown)
    if neuron is None:
        return longer
    levels = neuron.levels(steps)
    try:
        more = neuron.levels(steps + 1)
    except ConversionError:  # no longer counted exactly
        return ""
    if more == levels + 1:
        return f"{longer} (it falls as 1 / T)"
    if more > levels:
        return f"{longer} (each about halves it)"
    counts = torch.arange(levels + 1.0)
    written, _ = neuron.expected_count(counts, steps)
    return "" if torch.equal(written, counts) else longer


def _resets_hard(kind: str) -> bool:
    return "hard reset" in kind


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"
