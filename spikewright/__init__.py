"""Spikewright: trained PyTorch networks as spiking networks, and the truth about the result."""

from spikewright import methods
from spikewright.activations import QCFS, ClippedReLU
from spikewright.calibration import Learned, Maximum, MinError, Percentile
from spikewright.convert import Prepared, convert, prepare
from spikewright.errors import (
    AnalysisError,
    CalibrationError,
    ConversionError,
    DataError,
    InterchangeError,
    MissingExtra,
    ModelError,
    RecipeError,
    RunError,
    SpikewrightError,
    UnsupportedOperation,
)
from spikewright.measure import (
    EnergyModel,
    Misalignment,
    Operations,
    Sweep,
    Trajectories,
    assign_codes,
    code_costs,
    fewest_steps,
    misalignment,
    operations,
    sweep,
    trajectories,
)
from spikewright.network import SpikingNetwork, Trajectory, load
from spikewright.neurons import COS, SRP, TPP, IntegrateFire, Shuffled, SpikeTracer, TwoPhase
from spikewright.version import __version__

__all__ = [
    "COS",
    "QCFS",
    "SRP",
    "TPP",
    "AnalysisError",
    "CalibrationError",
    "ClippedReLU",
    "ConversionError",
    "DataError",
    "EnergyModel",
    "IntegrateFire",
    "InterchangeError",
    "Learned",
    "Maximum",
    "MinError",
    "Misalignment",
    "MissingExtra",
    "ModelError",
    "Operations",
    "Percentile",
    "Prepared",
    "RecipeError",
    "RunError",
    "Shuffled",
    "SpikeTracer",
    "SpikewrightError",
    "SpikingNetwork",
    "Sweep",
    "Trajectories",
    "Trajectory",
    "TwoPhase",
    "UnsupportedOperation",
    "__version__",
    "assign_codes",
    "code_costs",
    "convert",
    "fewest_steps",
    "load",
    "methods",
    "misalignment",
    "operations",
    "prepare",
    "sweep",
    "trajectories",
]
