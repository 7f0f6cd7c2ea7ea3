"""Calibration turns data into statistics, thresholds and corrections."""

from spikewright.calibration.auto import Auto
from spikewright.calibration.bias_correction import InputMeans
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.collecting import collect
from spikewright.calibration.correction import Correction
from spikewright.calibration.design import Design
from spikewright.calibration.expected import Expected
from spikewright.calibration.output_means import OutputMeans
from spikewright.calibration.refit import Refit
from spikewright.calibration.statistics import SiteStatistics
from spikewright.calibration.thresholds import (
    Headroom,
    Learned,
    Maximum,
    MinError,
    Per,
    Percentile,
    Threshold,
)

__all__ = [
    "Auto",
    "Calibration",
    "Correction",
    "Design",
    "Expected",
    "Headroom",
    "InputMeans",
    "Learned",
    "Maximum",
    "MinError",
    "OutputMeans",
    "Per",
    "Percentile",
    "Refit",
    "SiteStatistics",
    "Threshold",
    "collect",
]
