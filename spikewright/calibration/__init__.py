"""From calibration data to thresholds and corrections."""

from spikewright.calibration.bias_correction import InputMeans
from spikewright.calibration.calibration import Calibration
from spikewright.calibration.correction import Correction, Offsets
from spikewright.calibration.output_means import OutputMeans
from spikewright.calibration.shared import collect_shared, deal_work
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
    "Correction",
    "InputMeans",
    "Learned",
    "Maximum",
    "MinError",
    "Offsets",
    "OutputMeans",
    "Per",
    "Percentile",
    "SiteStatistics",
    "Threshold",
    "collect",
    "collect_shared",
    "deal_work",
]
