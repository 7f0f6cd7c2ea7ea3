"""Data sets that networks are trained on, calibrated with and measured against."""

from __future__ import annotations

from spikewright.data.image_data import ImageData, ImageDataset, calibration_subset, loader
from spikewright.data.preprocessing import Resize
from spikewright.data.resolve import open_dataset

__all__ = ["ImageData", "ImageDataset", "Resize", "calibration_subset", "loader", "open_dataset"]
