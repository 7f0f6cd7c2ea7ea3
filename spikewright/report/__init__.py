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
from spikewright.report.folder.reading import read_run
from spikewright.report.folder.run import FORMAT, Run, page_record
from spikewright.report.observe import observe_errors, observe_raster, observe_thresholds
from spikewright.report.page import render
from spikewright.report.study_view import accuracy_matrix

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
    "accuracy_matrix",
    "observe_errors",
    "observe_raster",
    "observe_thresholds",
    "page_record",
    "read_run",
    "render",
    "render_comparison",
]
