"""From calibration data to thresholds and corrections."""

from spikewright.calibration.bias_correction import correct_bias
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.statistics import SiteStatistics, collect
from spikewright.calibration.thresholds import (
    Learned,
    Maximum,
    MinError,
    Per,
    Percentile,
    Threshold,
)

__all__ = [
    "Calibration",
    "Learned",
    "Maximum",
    "MinError",
    "Per",
    "Percentile",
    "SiteStatistics",
    "Threshold",
    "collect",
    "correct_bias",
]
