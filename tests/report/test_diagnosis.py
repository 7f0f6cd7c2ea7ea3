from __future__ import annotations

from dataclasses import replace

import pytest

from spikewright.measure import LayerError
from spikewright.report.diagnosis import BAD, diagnose


def error(site: str, total: float, network: str = "IF", **causes: float) -> LayerError:
    parts = dict.fromkeys(("inherited", "clipping", "rounding", "unevenness"), 0.0) | causes
    return LayerError(
        site=site, steps=8, total=total, bias=0.0, activation=1.0, network=network, **parts
    )


def test_the_first_layer_past_the_limit_is_named_not_the_worst() -> None:
    found = diagnose(
        [
            error("a", 0.1, rounding=0.1),
            error("b", 0.3, clipping=0.28, rounding=0.1),
            error("c", 0.9, inherited=0.3, clipping=0.8),
        ]
    )
    assert (found.layer, found.error, found.worst) == ("b", 0.3, "c")
    assert (found.cause, found.share) == ("clipping", 0.28)
    assert "b is the first layer whose error reaches 25 % of its activation: 30 %" in (
        found.explanation
    )
    assert "above the threshold are cut off" in found.explanation
    assert "percentile:99.9" in found.advice


def test_an_inherited_error_is_explained_by_what_the_layers_before_added() -> None:
    found = diagnose(
        [
            error("a", 0.2, unevenness=0.2),
            error("b", 0.24, inherited=0.2, unevenness=0.15),
            error("c", 0.4, inherited=0.39, rounding=0.1, unevenness=0.02),
            error("d", 0.5, clipping=5.0),
        ]
    )
    assert (found.layer, found.cause) == ("c", "unevenness")
    assert "39 % came with its input" in found.explanation
    assert "two-phase" in found.advice


def test_no_bad_layer_is_said_and_the_largest_named() -> None:
    found = diagnose([error("a", 0.1, rounding=0.1), error("b", BAD - 0.01, rounding=0.2)])
    assert found.layer is None
    assert "No layer errs by 25 % of its activation or more; the largest is 24 %, at b." in (
        found.explanation
    )


def test_a_lossless_network_needs_no_advice() -> None:
    found = diagnose([error("a", 1e-7, rounding=1e-7), error("b", 0.004)])
    assert (found.layer, found.cause, found.meaning, found.advice) == (None, "none", "", "")
    assert "send what the ANN’s send" in found.explanation


@pytest.mark.parametrize(
    ("network", "cause", "told", "advice"),
    [
        ("IF", "unevenness", "too early or too late", "a two-phase neuron"),
        ("IF, hard reset", "rounding", "throws charge away", "a soft reset"),
        ("IF, hard reset", "unevenness", "too early or too late", "a two-phase neuron"),
        ("shuffled IF", "unevenness", "too early or too late", "a two-phase neuron"),
        ("unbiased", "unevenness", "the draws add noise", "nearest, which draws nothing"),
        ("unbiased, burst", "unevenness", "the draws add noise", "nearest, which draws nothing"),
        ("TPP", "rounding", "count law is biased", "in place of TPP"),
        ("nearest", "rounding", "no more than 9 values", "more time steps (it falls as 1 / T)"),
        ("nearest, binary", "rounding", "256 values", "more time steps (each about halves it)"),
        ("nearest, digits", "rounding", "513 values", "thresholds a channel"),
        ("TPP, T = 6", "rounding", "count law is biased", "in place of TPP"),
        ("somebody else's", "rounding", "no more than 9 values", "more time steps, thresholds"),
    ],
)
def test_what_to_try_depends_on_the_neuron(
    network: str, cause: str, told: str, advice: str
) -> None:
    found = diagnose([error("a", 0.5, network, **{cause: 0.5})])
    assert found.cause == cause
    assert told in found.explanation
    assert found.advice.startswith(advice) or advice in found.advice
    named = replace(error("a", 0.5, "mine", **{cause: 0.5}), neuron=network)
    assert diagnose([named]).explanation == found.explanation


@pytest.mark.parametrize(
    ("neuron", "told"),
    [
        ("nearest, binary, T = 2", "T = 2 time steps tell no more than 4 values apart"),
        ("nearest, first-spike, T = 3", "T = 3 time steps tell no more than 4 values apart"),
        ("nearest, digits, T = 2", "T = 2 time steps tell no more than 513 values apart"),
    ],
)
def test_a_window_of_its_own_is_what_tells_values_apart(neuron: str, told: str) -> None:
    found = diagnose([replace(error("a", 0.5, "mine", rounding=0.5), neuron=neuron)])
    assert told in found.explanation
    assert found.meaning == told


@pytest.mark.parametrize("cause", ["clipping", "rounding", "unevenness"])
@pytest.mark.parametrize("kind", ["nearest", "unbiased, burst", "TPP", "nearest, digits"])
def test_more_steps_are_no_advice_for_a_window_of_its_own(kind: str, cause: str) -> None:
    layer = replace(error("a", 0.5, "mine", **{cause: 0.5}), neuron=kind, steps=3)
    free = diagnose([layer])
    found = diagnose([replace(layer, neuron=f"{kind}, T = 3", steps=8)])
    assert "more time steps" in free.advice
    assert "more time steps" not in found.advice
    assert found.advice == free.advice.replace(
        "more time steps", "a conversion with a longer window there"
    )


@pytest.mark.parametrize(
    ("neuron", "steps", "trained", "told", "advice"),
    [
        ("nearest", 8, 4, "T = 8 time steps tell 9", "T = L = 4, where nearest with learned"),
        ("nearest", 2, 4, "T = 2 time steps tell 3", "T = L = 4, where nearest with learned"),
        ("nearest, binary", 8, 7, "tell 256", "T = 3 (L = 7), where nearest, binary with learned"),
        ("nearest, binary", 8, 4, "tell 256", "T = L = 4, where nearest with learned"),
        ("nearest, digits", 8, 4, "tell 513", "T = L = 4, where nearest with learned"),
        ("nearest, T = 8", 1, 4, "tell 9", "a conversion with a window of T = L = 4, where"),
        ("TPP", 8, 4, "tell 9", "T = L = 4, where nearest with learned"),
        ("IF, hard reset", 8, 4, "throws charge away", "T = L = 4, where nearest with learned"),
        ("somebody else's", 8, 4, "tell 9", "T = L = 4, where nearest with learned"),
    ],
)
def test_a_unit_that_rounds_itself_is_met_by_counts_to_its_own_levels(
    neuron: str, steps: int, trained: int, told: str, advice: str
) -> None:
    layer = replace(error("a", 0.5, neuron, rounding=0.5), steps=steps, trained_levels=trained)
    found = diagnose([layer])
    itself = f"ANN itself tells no more than {trained + 1} values apart there (QCFS, L = {trained})"
    assert itself in found.meaning
    assert told in found.meaning
    assert found.advice.startswith(advice)
    assert "more time steps" not in found.advice
    assert "qcfs" not in found.advice


def test_counts_to_the_levels_of_a_unit_need_its_learned_threshold() -> None:
    layer = replace(error("a", 0.5, "nearest", rounding=0.5), steps=4, trained_levels=4)
    found = diagnose([layer])
    assert found.meaning == "T = 4 time steps tell no more than 5 values apart"
    assert found.advice == (
        "the learned thresholds (--threshold learned), with which nearest rounds as the ANN does"
    )


@pytest.mark.parametrize(
    ("neuron", "before"),
    [("nearest", "more time steps (it falls as 1 / T), or "), ("nearest, digits", "")],
)
def test_thresholds_a_channel_are_no_advice_where_they_are(neuron: str, before: str) -> None:
    layer = error("a", 0.5, neuron, rounding=0.5)
    assert "minerror:channel" in diagnose([layer]).advice
    assert diagnose([replace(layer, thresholds=16)]).advice == (
        f"{before}a network trained for few levels (train --activation qcfs)"
    )


def test_no_longer_window_is_advised_than_a_code_counts_in() -> None:
    layer = replace(error("a", 0.5, "nearest, binary", rounding=0.5), steps=24)
    assert diagnose([layer]).advice.startswith("thresholds a channel")
