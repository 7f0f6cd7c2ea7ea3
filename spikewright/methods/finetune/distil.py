"""Distil: a short joint tuning of weights and thresholds against the ANN, without labels.

Layer by layer, least squares (`calibration.Refit`) cannot let one layer make up for what the next
ones lose, nor move thresholds. Here the gradient goes through the whole network, and the loss is
how far the network is from its own ANN:

    |y - y_ann|^2 / |y_ann|^2   of the outputs, plus the same of what each layer sends, on average.

A few hundred calibration images do, of which those held out choose the epoch.

Own method; kin to the weight calibration of Li et al., ICML 2021, to the learned thresholds of LSQ
(Esser et al., ICLR 2020) and to the block reconstruction of post-training quantisation (BRECQ,
Li et al., ICLR 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from spikewright.finetuning import (
    Loss,
    RelativeError,
    Surrogate,
    TrainableNetwork,
    Weighted,
)
from spikewright.methods.finetune.method import LARGEST_RATE, FineTuning


@dataclass(frozen=True, kw_only=True)
class Distil(FineTuning):
    """The whole network at once, on the ANN's own answers, by Adam.

    Args:
        epochs, batch_size, learning_rate, least_threshold, ema: see `FineTuning`.
        threshold_scale: the learning rate of thresholds and corrections, in that of weights.

    Raises:
        ValueError: for a number out of its range.
    """

    name: ClassVar[str] = "distil"
    paper: ClassVar[str] = "this library; block reconstruction of post-training quantisation"
    surrogate: ClassVar[Surrogate] = Surrogate.ROUNDED
    selects_by_loss: ClassVar[bool] = True

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-5
    threshold_scale: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.threshold_scale <= LARGEST_RATE:
            raise ValueError(
                f"threshold_scale must be above 0 and at most 1e6, got {self.threshold_scale}"
            )

    @property
    def loss(self) -> Loss:
        return Weighted(((1.0, RelativeError("outputs")), (1.0, RelativeError("values"))))

    def optimizer(self, network: TrainableNetwork) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.groups(network, self.threshold_scale), lr=self.learning_rate)
