"""A study as its part of a page needs it: figures by name, tables as rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikewright.measure import LayerError, Sweep, SweepRow
from spikewright.measure.misalignment import PROBE
from spikewright.report.bin_figures import (
    rate_histogram,
    residual_histogram,
    threshold_histogram,
)
from spikewright.report.contents import Study
from spikewright.report.diagnosis import Diagnosis, diagnose
from spikewright.report.environment import Figures
from spikewright.report.layer_figures import (
    error_figure,
    histogram_figure,
    layer_figure,
    raster_figure,
)
from spikewright.report.summary import headline


def inside_view(study: Study, figures: Figures) -> dict[str, Any]:
    """What both the page of one run and the comparison show of a study."""
    highest = max((v for h in study.histograms for v in (*h.before, *h.after)), default=1.0)
    raster, thresholds = study.raster, study.thresholds
    binned = thresholds if thresholds is not None and thresholds.binned else None
    return {
        "study": study,
        "headline": headline(study.sweep),
        "score": study.sweep.score,
        "matrix": score_matrix(study.sweep),
        "ann_scores": _ann_scores(study.sweep),
        "rasters": []
        if raster is None
        else [(p, figures.add(raster_figure(raster, p))) for p in raster.networks],
        "histograms": [
            (h, figures.add(histogram_figure(h, highest or 1.0))) for h in study.histograms
        ],
        "layers": figures.add(layer_figure(study.layers)) if study.layers else None,
        "errors": _error_view(study, figures),
        "diagnoses": diagnoses(study),
        "residuals": figures.add(residual_histogram(study.residuals)) if study.residuals else None,
        "threshold_bins": figures.add(threshold_histogram(binned)) if binned else None,
        "rate_bins": figures.add(rate_histogram(binned)) if binned else None,
    }


def _ann_scores(sweep: Sweep) -> list[tuple[str, str]]:
    """The ANN's score and its interval: one for all T, or one for each where they differ."""
    score, anns = sweep.score, list(sweep.ann_scores.values())
    return [
        (
            score.plain(ann.value, 1),
            ""
            if ann.low is None or ann.high is None
            else f"{score.plain(ann.low, 1)} to {score.plain(ann.high, 1)}",
        )
        for ann in (anns if sweep.references else anns[:1])
    ]


def errors_shown(study: Study) -> dict[str, list[LayerError]]:
    """The errors of each network, at the T in the middle of those measured, by its title."""
    names = tuple(dict.fromkeys(e.network for e in study.errors))
    return {
        f"shuffled {names[0]}" if network == PROBE else network: [
            e
            for e in study.errors
            if e.network == network and e.steps == _middle(study.errors, network)
        ]
        for network in names
    }


def diagnoses(study: Study) -> list[Diagnosis]:
    """The first bad layer of each network whose errors were taken apart."""
    return [diagnose(rows, network) for network, rows in errors_shown(study).items()]


def _error_view(study: Study, figures: Figures) -> list[dict[str, Any]]:
    shown = errors_shown(study)
    highest = max((e.total for rows in shown.values() for e in rows), default=1.0)
    return [
        {
            "network": network,
            "steps": rows[0].steps,
            "rows": rows,
            "figure": figures.add(error_figure(rows, highest)),
        }
        for network, rows in shown.items()
    ]


def _middle(errors: Sequence[LayerError], network: str) -> int:
    times = sorted({e.steps for e in errors if e.network == network})
    return times[len(times) // 2]


def score_matrix(sweep: Sweep) -> list[tuple[str, list[str]]]:
    """Rows of the compact table: a network's name, and its score at every T."""
    score = sweep.score

    def cell(row: SweepRow) -> str:
        estimate = score.of(row)
        if estimate is None:
            return "\u2013"
        spread = f" ± {score.width(estimate.spread, 1)}" if row.seeds > 1 else ""
        return score.plain(estimate.value, 1) + spread

    return [
        (network, [cell(sweep.row(network, steps)) for steps in sweep.steps])
        for network in sweep.networks
    ]
