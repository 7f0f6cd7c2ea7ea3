"""render(): a report as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from spikewright.analysis import LayerError, RunRecord, Sweep
from spikewright.extras import require_extra
from spikewright.report.contents import Report, Study
from spikewright.report.figures import Figure, accuracy_curves
from spikewright.report.figures_inside import (
    error_figure,
    histogram_figure,
    layer_figure,
    raster_figure,
)
from spikewright.report.series import series_of
from spikewright.report.words import caveats, headline, percent

ERROR_TITLES = {"independent": "shuffled IF"}


def render(report: Report) -> str:
    """The page: figures, tables, styles and scripts in one file that loads nothing.

    Args:
        report: what to show; parts of a study that are empty are left out.

    Returns:
        HTML text.

    Raises:
        MissingExtra: without the packages of the extra `report`.
    """
    jinja2 = require_extra("jinja2", "report", "the report page")
    offline = require_extra("plotly.offline", "report", "the report page")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_template),
    )
    environment.filters.update(percent=percent, p_value=_p_value, told=_told, bound=_bound)
    figures = _Figures()
    return environment.get_template("page.html.jinja").render(
        report=report,
        studies=[_study_context(study, figures, n) for n, study in enumerate(report.studies)],
        several=len(report.studies) > 1,
        record=_record_rows(report.studies),
        configuration={k: v for k, v in report.configuration.items() if k != "spikewright"},
        figures=_embedded(figures.collected),
        style=_template("style.css"),
        script=_template("page.js"),
        plotly=offline.get_plotlyjs().replace("</script", "<\\/script"),
    )


class _Figures:
    """Collects figures and gives each a name by which the page finds it."""

    def __init__(self) -> None:
        self.collected: dict[str, Figure] = {}

    def add(self, figure: Figure) -> str:
        name = f"figure-{len(self.collected) + 1}"
        self.collected[name] = figure
        return name


def _study_context(study: Study, figures: _Figures, number: int) -> dict[str, Any]:
    highest = max((v for h in study.histograms for v in (*h.before, *h.after)), default=1.0)
    raster = study.raster
    return {
        "study": study,
        "id": f"study-{number + 1}",
        "headline": headline(study.sweep),
        "caveats": caveats(study.sweep),
        "by_steps": figures.add(accuracy_curves(study.sweep, "steps")),
        "by_latency": figures.add(accuracy_curves(study.sweep, "latency")),
        "matrix": accuracy_matrix(study.sweep),
        "meanings": [s for s in series_of(study.sweep.networks).values() if s.meaning],
        "rasters": []
        if raster is None
        else [(p, figures.add(raster_figure(raster, p))) for p in raster.networks],
        "histograms": [
            (h, figures.add(histogram_figure(h, highest or 1.0))) for h in study.histograms
        ],
        "layers": figures.add(layer_figure(study.layers)) if study.layers else None,
        "errors": _error_context(study.errors, figures),
    }


def _error_context(errors: Sequence[LayerError], figures: _Figures) -> list[dict[str, Any]]:
    """One figure for each network, at the T in the middle of those measured."""
    shown = {
        network: [e for e in errors if e.network == network and e.steps == _middle(errors, network)]
        for network in dict.fromkeys(e.network for e in errors)
    }
    highest = max((e.total for rows in shown.values() for e in rows), default=1.0)
    return [
        {
            "network": ERROR_TITLES.get(network, network),
            "steps": rows[0].steps,
            "rows": rows,
            "figure": figures.add(error_figure(rows, highest)),
        }
        for network, rows in shown.items()
    ]


def _middle(errors: Sequence[LayerError], network: str) -> int:
    times = sorted({e.steps for e in errors if e.network == network})
    return times[len(times) // 2]


def accuracy_matrix(sweep: Sweep) -> list[tuple[str, list[str]]]:
    """Rows of the compact table: a network's name, and its accuracy in % at every T."""
    rows: list[tuple[str, list[str]]] = []
    for network in sweep.networks:
        found = [sweep.row(network, steps) for steps in sweep.steps]
        rows.append(
            (
                network,
                [
                    f"{100 * row.accuracy:.1f}"
                    + (f" ± {100 * row.spread:.1f}" if row.seeds > 1 else "")
                    for row in found
                ],
            )
        )
    return rows


def _record_rows(studies: Iterable[Study]) -> list[tuple[str, str]]:
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
    return (
        f"{record.samples:,} images, first seed {record.seed}, started {record.started}, "
        f"{record.seconds:.1f} s"
    )


def _bound(text: str) -> str:
    """Text in which "T = 8" and "98.7 %" are not torn apart at the end of a line."""
    return text.replace("T = ", "T\u00a0=\u00a0").replace(" %", "\u00a0%")


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _told(value: Any) -> str:
    """A configuration value, as it would be typed."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_told(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_told(entry) for entry in value)
    if value is None:
        return "–"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _embedded(figures: Mapping[str, Figure]) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    return json.dumps(figures, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")


def _template(name: str) -> str:
    return files("spikewright.report").joinpath("templates", name).read_text(encoding="utf-8")
