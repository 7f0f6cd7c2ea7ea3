"""render(): a report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spikewright.measure import RunRecord
from spikewright.report.compare.differences import OTHER_PARTS
from spikewright.report.contents import Report, Study
from spikewright.report.environment import Figures, filled
from spikewright.report.score_curves import score_curves, trajectory_curves
from spikewright.report.series import series_of
from spikewright.report.study_view import inside_view
from spikewright.report.summary import caveats


def render(report: Report) -> str:
    """The page: figures, tables, styles and scripts in one file that loads nothing.

    Args:
        report: what to show; parts of a study that are empty are left out.

    Returns:
        HTML text.

    Raises:
        MissingExtra: without the packages of the extra `report`.
        ValueError: for a report of operations alone.
    """
    if not report.studies:
        raise ValueError(
            f"the report '{report.title}' holds operations and no studies, which this page is "
            "made of: show it by render_comparison([Run(name, report)])"
        )
    figures = Figures()
    shown_elsewhere = {"spikewright", *OTHER_PARTS}
    return filled(
        "page.html.jinja",
        figures,
        report=report,
        studies=[_view(study, figures, n) for n, study in enumerate(report.studies)],
        several=len(report.studies) > 1,
        record=record_rows(report.studies),
        configuration={k: v for k, v in report.configuration.items() if k not in shown_elsewhere},
    )


def _view(study: Study, figures: Figures, number: int) -> dict[str, Any]:
    return {
        "id": f"study-{number + 1}",
        "caveats": caveats(study.sweep),
        "by_steps": figures.add(score_curves(study.sweep, "steps")),
        "by_latency": figures.add(score_curves(study.sweep, "latency")),
        "by_time": None
        if study.trajectories is None
        else figures.add(trajectory_curves(study.trajectories)),
        "meanings": list(series_of(study.sweep.networks).values()),
        **inside_view(study, figures),
    }


def record_rows(studies: Iterable[Study]) -> list[tuple[str, str]]:
    """What every study has in common, then what is its own."""
    records = [(study.title, study.sweep.record) for study in studies]
    first = records[0][1]
    rows = [
        ("Spikewright", first.spikewright),
        ("torch", first.torch),
        ("Python", first.python),
        ("platform", first.platform),
        ("device", first.device),
        ("threads", str(first.threads)),
    ]
    for title, record in records:
        rows.append((title, _run_words(record)))
    return rows


def _run_words(record: RunRecord) -> str:
    words = f"{record.samples:,} images, first seed {record.seed}"
    if not record.started:
        return words
    return f"{words}, started {record.started}, {record.seconds:.1f} s"
