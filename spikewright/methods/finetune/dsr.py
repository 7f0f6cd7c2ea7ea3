"""DSR: training through the differentiable spike representation (Meng et al., CVPR 2022).

What an integrate-and-fire neuron sends on average, `theta / T` times its spikes, is close to

    clamp(mean current, 0, theta):

the forward pass simulates every step, the backward pass differentiates this, without going back
through time. Thresholds are trained with the weights, and kept from falling too low.

Departures from the paper, arXiv 2205.00459: it trains from random weights at a learning rate of 0.1
for 200 epochs, here a converted network is trained further; thresholds are per channel where the
conversion has them so, and their bound is a part of their first value (the paper starts all at 6
and bounds them at 0.01). The paper's alpha is `1 - v0` of `IntegrateFire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from spikewright.finetuning import CrossEntropy, Loss, Surrogate, TrainableNetwork
from spikewright.methods.finetune.method import FineTuning


@dataclass(frozen=True, kw_only=True)
class DSR(FineTuning):
    """The whole network at once, on labels, by SGD with momentum.

    Args:
        epochs, batch_size, learning_rate, least_threshold, ema: see `FineTuning`.
        momentum: from 0 to below 1.
        weight_decay: of weights and biases, at least 0.

    Raises:
        ValueError: for a number out of its range.

    Example:
        >>> DSR(epochs=5).loss
        CrossEntropy(label_smoothing=0.0)
    """

    name: ClassVar[str] = "dsr"
    paper: ClassVar[str] = "Meng et al., CVPR 2022, arXiv 2205.00459"
    surrogate: ClassVar[Surrogate] = Surrogate.CLIPPED

    batch_size: int = 128
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum lies in 0 .. 1, 1 excluded, got {self.momentum}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be at least 0, got {self.weight_decay}")

    @property
    def loss(self) -> Loss:
        return CrossEntropy()

    def optimizer(self, network: TrainableNetwork) -> torch.optim.Optimizer:
        weights, small = self.groups(network)
        weights["weight_decay"] = self.weight_decay
        return torch.optim.SGD([weights, small], lr=self.learning_rate, momentum=self.momentum)
