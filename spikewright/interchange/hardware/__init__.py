"""Networks in whole numbers: 8-bit weights, integer thresholds, and a simulator that reads them."""

from spikewright.interchange.hardware.bundle import Bundle, read_bundle
from spikewright.interchange.hardware.export import (
    BundleAccuracy,
    bundle_accuracy,
    export_hardware,
)
from spikewright.interchange.hardware.quantise import InputFormat
from spikewright.interchange.hardware.simulation import as_integers, run_bundle

__all__ = [
    "Bundle",
    "BundleAccuracy",
    "InputFormat",
    "as_integers",
    "bundle_accuracy",
    "export_hardware",
    "read_bundle",
    "run_bundle",
]
