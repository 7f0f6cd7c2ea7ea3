"""Training of small source networks, the honest way: chosen on validation, never on test."""

from __future__ import annotations

from spikewright.training.fit import EpochRecord, TrainingResult, accuracy, fit
from spikewright.training.seeding import seeded
from spikewright.training.threads import intra_op_threads

__all__ = ["EpochRecord", "TrainingResult", "accuracy", "fit", "intra_op_threads", "seeded"]
