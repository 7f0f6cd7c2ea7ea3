"""The sentences of a comparison: what must be known before comparing, and the results."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.measure.scores import ACCURACY
from spikewright.report.compare.points import Point, Source
from spikewright.report.summary import CLOSE, percent

_EPSILON = 1e-12


def cautions(sources: Sequence[Source], points: Sequence[Point]) -> tuple[tuple[str, str], ...]:
    """What a reader must know before comparing these runs: a few words, and a sentence each."""
    possible = [
        _different_data(sources),
        _different_numbers(points),
        _different_draws(sources),
        _other_scores(sources),
        _copies(sources),
    ]
    return tuple(caution for caution in possible if caution is not None)


def _different_data(sources: Sequence[Source]) -> tuple[str, str] | None:
    by_data: dict[str, list[str]] = {}
    for source in sources:
        by_data.setdefault(source.data, []).append(source.mark)
    if len(by_data) < 2:
        return None
    groups = "; ".join(f"{', '.join(marks)}: {data}" for data, marks in by_data.items())
    return (
        "Different data sets.",
        f"{groups}. Accuracies on different data do not compare; fronts are drawn for each data "
        "set by itself.",
    )


def _different_numbers(points: Sequence[Point]) -> tuple[str, str] | None:
    groups: list[str] = []
    for data in dict.fromkeys(p.data for p in points):
        numbers: dict[int, list[str]] = {}
        for p in points:
            marks = numbers.setdefault(p.samples, []) if p.data == data else []
            if p.mark not in marks:
                marks.append(p.mark)
        if len(numbers) > 1:
            groups += [f"{', '.join(marks)}: {n:,} images" for n, marks in numbers.items()]
    if not groups:
        return None
    return (
        "Different numbers of images.",
        f"{'; '.join(groups)}. They saw different images of the same data, so a difference between "
        "them within the intervals says nothing.",
    )


def _different_draws(sources: Sequence[Source]) -> tuple[str, str] | None:
    """Runs on as many images of the same data, drawn by different seeds."""
    draws: dict[tuple[str, int], dict[int, list[str]]] = {}
    for source in sources:
        configuration = source.run.configuration
        limit, seed = configuration.get("limit"), configuration.get("seed")
        if isinstance(limit, int) and isinstance(seed, int):
            by_seed = draws.setdefault((source.data, limit), {})
            by_seed.setdefault(seed, []).append(source.mark)
    groups = [
        f"{', '.join(marks)}: {limit:,} images drawn by seed {seed}"
        for (_, limit), by_seed in draws.items()
        if len(by_seed) > 1
        for seed, marks in by_seed.items()
    ]
    if not groups:
        return None
    return (
        "Different images.",
        f"{'; '.join(groups)}. They saw different images of the same data, so a difference between "
        "them within the intervals says nothing.",
    )


def _other_scores(sources: Sequence[Source]) -> tuple[str, str] | None:
    """Runs that are measured by something else than accuracy, which alone is compared here."""
    studies = [(source.mark, source.study) for source in sources if source.study is not None]
    scores = [(mark, study.sweep.score) for mark, study in studies]
    others = [f"{mark}: {score.name}" for mark, score in scores if score is not ACCURACY]
    if not others:
        return None
    return (
        "Other measures than accuracy.",
        f"{'; '.join(others)}. Figures and tables that compare runs show accuracies alone, where "
        "there are any; what these runs measured stands under each of them.",
    )


def _copies(sources: Sequence[Source]) -> tuple[str, str] | None:
    same: dict[str, list[str]] = {}
    for source in sources:
        name = source.run.name
        names = same.setdefault(source.run.fingerprint, [])
        if source.run.fingerprint and name not in names:
            names.append(name)
    copies = [" and ".join(names) for names in same.values() if len(names) > 1]
    return ("The same results.", f"{'; '.join(copies)} hold the same.") if copies else None


def findings(sources: Sequence[Source], points: Sequence[Point]) -> tuple[str, ...]:
    """The most accurate network, and those that come close to their ANN at the least cost."""
    sentences: list[str] = []
    several = len({p.data for p in points}) > 1
    for data in dict.fromkeys(p.data for p in points):
        here = [p for p in points if p.data == data]
        best = min(here, key=lambda p: (-p.accuracy, p.latency))
        own = [f"The most accurate is {_name(best)}.", *_close_ones(here)]
        sentences += [_sentence(data if several else "", text) for text in own]
    if points and all(p.energies is None for p in points):
        sentences.append(
            "Energy was measured in none of these runs: run spikewright energy with the same "
            "options, and add its folder."
        )
    elif points:
        sentences += _without_energy(sources, points)
    return tuple(sentences)


def _close_ones(points: Sequence[Point]) -> list[str]:
    """The points of least latency and energy within one percentage point of their own ANN."""
    compared = [p for p in points if p.ann is not None]
    close = [p for p in compared if p.accuracy >= (p.ann or 0.0) - CLOSE - _EPSILON]
    if not close:
        return ["No network comes within one point of its ANN."] if compared else []
    fastest = min(close, key=lambda p: (p.latency, -p.accuracy))
    sentences = [f"Within one point of its ANN, {_name(fastest)} has the lowest latency."]
    energies = [(p, p.energies.energy) for p in close if p.energies is not None]
    if energies:
        least, energy = min(energies, key=lambda pair: (pair[1].snn_nj, -pair[0].accuracy))
        sentences.append(
            f"Within one point of its ANN, {_name(least)} takes the least energy: "
            f"{energy.snn_nj:,.1f} nJ an image, estimated; its ANN takes {energy.ann_nj:,.1f} nJ."
        )
    return sentences


def _without_energy(sources: Sequence[Source], points: Sequence[Point]) -> list[str]:
    lacking = {p.mark for p in points if p.energies is None}
    marks = [source.mark for source in sources if source.mark in lacking]
    return [f"Energy was not measured for every network of {', '.join(marks)}."] if marks else []


def _sentence(data: str, text: str) -> str:
    """The text, with its data set in front where there are several."""
    return f"On {data}, {text[0].lower()}{text[1:]}" if data else text


def _name(p: Point) -> str:
    steps = "1 time step" if p.latency == 1 else f"{p.latency:,} time steps"
    return f"{p.network} of {p.mark} at T = {p.steps} ({percent(p.accuracy)} after {steps})"
