"""A report: what was measured, as one HTML page that needs nothing else."""

from spikewright.report.contents import (
    NetworkRaster,
    Raster,
    RasterLayer,
    Report,
    SiteRow,
    Study,
    Thresholds,
)
from spikewright.report.observe import observe_raster, observe_thresholds
from spikewright.report.page import accuracy_matrix, render

__all__ = [
    "NetworkRaster",
    "Raster",
    "RasterLayer",
    "Report",
    "SiteRow",
    "Study",
    "Thresholds",
    "accuracy_matrix",
    "observe_raster",
    "observe_thresholds",
    "render",
]
