"""A report: what was measured, as one HTML page that needs nothing else."""

from spikewright.report.compare.page import render_comparison
from spikewright.report.contents import (
    NetworkRaster,
    Raster,
    RasterLayer,
    Report,
    SiteRow,
    Study,
    Thresholds,
)
from spikewright.report.observe import observe_errors, observe_raster, observe_thresholds
from spikewright.report.page import render
from spikewright.report.results import FORMAT, Run, read_run, results_of
from spikewright.report.study_view import score_matrix

__all__ = [
    "FORMAT",
    "NetworkRaster",
    "Raster",
    "RasterLayer",
    "Report",
    "Run",
    "SiteRow",
    "Study",
    "Thresholds",
    "observe_errors",
    "observe_raster",
    "observe_thresholds",
    "read_run",
    "render",
    "render_comparison",
    "results_of",
    "score_matrix",
]
