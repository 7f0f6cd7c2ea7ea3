"""Spikewright: trained PyTorch networks as spiking networks, and the truth about the result."""

from spikewright.activations import QCFS
from spikewright.calibration import Learned, Maximum, MinError, Percentile
from spikewright.convert import convert
from spikewright.errors import (
    CalibrationError,
    ConversionError,
    DataError,
    MissingExtra,
    ModelError,
    SpikewrightError,
    UnsupportedOperation,
)
from spikewright.network import SpikingNetwork
from spikewright.neurons import TPP, IntegrateFire, Shuffled, TwoPhase

__version__ = "0.1.0"

__all__ = [
    "QCFS",
    "TPP",
    "CalibrationError",
    "ConversionError",
    "DataError",
    "IntegrateFire",
    "Learned",
    "Maximum",
    "MinError",
    "MissingExtra",
    "ModelError",
    "Percentile",
    "Shuffled",
    "SpikewrightError",
    "SpikingNetwork",
    "TwoPhase",
    "UnsupportedOperation",
    "convert",
]
