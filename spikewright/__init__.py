"""Spikewright: trained PyTorch networks as spiking networks, and the truth about the result."""

from spikewright import methods
from spikewright.activations import QCFS, ClippedReLU
from spikewright.analysis import Misalignment, Sweep, misalignment, sweep
from spikewright.calibration import Learned, Maximum, MinError, Percentile
from spikewright.convert import convert
from spikewright.errors import (
    AnalysisError,
    CalibrationError,
    ConversionError,
    DataError,
    MissingExtra,
    ModelError,
    RecipeError,
    RunError,
    SpikewrightError,
    UnsupportedOperation,
)
from spikewright.network import SpikingNetwork
from spikewright.neurons import SRP, TPP, IntegrateFire, Shuffled, TwoPhase
from spikewright.version import __version__

__all__ = [
    "QCFS",
    "SRP",
    "TPP",
    "AnalysisError",
    "CalibrationError",
    "ClippedReLU",
    "ConversionError",
    "DataError",
    "IntegrateFire",
    "Learned",
    "Maximum",
    "MinError",
    "Misalignment",
    "MissingExtra",
    "ModelError",
    "Percentile",
    "RecipeError",
    "RunError",
    "Shuffled",
    "SpikewrightError",
    "SpikingNetwork",
    "Sweep",
    "TwoPhase",
    "UnsupportedOperation",
    "__version__",
    "convert",
    "methods",
    "misalignment",
    "sweep",
]
