"""render_comparison(): several runs on one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.measure.scores import ACCURACY
from spikewright.report.compare.curves import accuracy_figure, dashes_of, front_figure
from spikewright.report.compare.differences import differing, settings_of
from spikewright.report.compare.findings import cautions, findings
from spikewright.report.compare.points import Point, Source, fronts, points_of, sources_of
from spikewright.report.diagnosis import BAD
from spikewright.report.energy.view import energy_view
from spikewright.report.environment import Figures, filled
from spikewright.report.page import record_rows
from spikewright.report.results import Run
from spikewright.report.series import series_of
from spikewright.report.study_view import diagnoses, inside_view
from spikewright.report.summary import percent, span_of

FRONTS = (
    ("latency", "Latency", ""),
    ("energy", "Energy", "arithmetic, fp32"),
    ("integer energy", "Energy", "arithmetic, 8-bit weights"),
    ("memory energy", "Energy", "fp32, with memory"),
    ("spikes", "Spikes", ""),
)
"""Fronts shown: the cost's name in `points.COSTS`, its heading, and which of several it is."""
PARTS = (
    ("rasters", "one image through the layers"),
    ("times", "spike times and what neurons keep"),
    ("orders", "one layer shuffled at a time"),
    ("errors", "errors of layers"),
    ("thresholds", "thresholds and firing rates"),
)
"""Sections of a run that a reader can leave out: their names in the template, and for people."""
_HELD_BY = {
    "rasters": ("rasters",),
    "times": ("histograms", "residuals"),
    "orders": ("layers",),
    "errors": ("errors",),
}
TABLE_FRONTS = ("latency", "energy", "spikes")


def render_comparison(runs: Sequence[Run]) -> str:
    """The page that compares runs: figures, tables, styles and scripts in one file.

    Args:
        runs: one run at least; their names differ.

    Returns:
        HTML text.

    Raises:
        MissingExtra: without the packages of the extra `report`.
        ValueError: without a run.
    """
    if not runs:
        raise ValueError("a comparison needs at least one run")
    figures, sources = Figures(), sources_of(runs)
    points = points_of(sources)
    dashes = dashes_of(sources)
    details = [_details(source, figures) for source in sources]
    return filled(
        "comparison.html.jinja",
        figures,
        title=_title(runs),
        runs=_runs_view(sources),
        sources=[(source, dashes[source.mark]) for source in sources],
        networks=list(series_of(p.network for p in points).values()),
        cautions=cautions(sources, points),
        findings=findings(sources, points),
        several_data=len({p.data for p in points}) > 1,
        accuracy=figures.add(accuracy_figure(points, sources)) if points else None,
        fronts=_fronts_view(points, sources, figures),
        table=_table(points),
        diagnoses=[
            (source, diagnosis)
            for source in sources
            if source.study is not None
            for diagnosis in diagnoses(source.study)
        ],
        bad=BAD,
        energy=energy_view(sources, figures),
        details=details,
        parts=[part for part in PARTS if any(_has(d["view"], part[0]) for d in details)],
    )


def _title(runs: Sequence[Run]) -> str:
    names = [run.name for run in runs]
    if len(names) == 1:
        return f"The run {names[0]}"
    if len(names) > 4:
        return f"{len(names)} runs compared"
    return f"{', '.join(names[:-1])} and {names[-1]} compared"


def _runs_view(sources: Sequence[Source]) -> dict[str, Any]:
    """The table of runs: a row a source, a column a setting in which they differ."""
    different, same = differing([settings_of(source) for source in sources])
    return {
        "rows": [(n, source, _ann(source)) for n, source in enumerate(sources)],
        "different": different,
        "same": same,
    }


def _ann(source: Source) -> str:
    sweep = None if source.study is None else source.study.sweep
    ann = None if sweep is None else ACCURACY.of(sweep.reference)
    if sweep is None or ann is None:
        return "not measured"
    if sweep.references:
        return f"{span_of(r.accuracy for r in sweep.references)}, by T"
    return f"{percent(ann.value)} ({ACCURACY.plain(ann.low, 1)} to {ACCURACY.plain(ann.high, 1)})"


def _fronts_view(
    points: Sequence[Point], sources: Sequence[Source], figures: Figures
) -> list[dict[str, Any]]:
    """One entry a heading, with its figures."""
    by_heading: dict[str, list[tuple[str, str]]] = {}
    for cost, heading, which in FRONTS:
        figure = front_figure(points, sources, cost)
        if figure is not None:
            by_heading.setdefault(heading, []).append((which, figures.add(figure)))
    return [{"heading": heading, "figures": shown} for heading, shown in by_heading.items()]


def _table(points: Sequence[Point]) -> dict[str, Any]:
    """Every point, and the fronts that it lies on."""
    on = fronts(points)
    sources_named = dict.fromkeys(p.energies.model.source for p in points if p.energies is not None)
    return {
        "energies": bool(sources_named),
        "source": ", ".join(sources_named),
        "rows": [(p, [name for name in TABLE_FRONTS if p in on[name]]) for p in points],
    }


def _has(view: Mapping[str, Any], part: str) -> bool:
    """Whether a study has something to show in a section."""
    if part == "thresholds":
        return bool(view) and view["study"].thresholds is not None
    return any(view.get(name) for name in _HELD_BY[part])


def _details(source: Source, figures: Figures) -> Mapping[str, Any]:
    report = source.run.report
    view = {} if source.study is None else inside_view(source.study, figures)
    return {
        "source": source,
        "report": report,
        "view": view,
        "record": [] if source.study is None else record_rows([source.study]),
    }
