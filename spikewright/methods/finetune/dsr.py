"""DSR: training through the differentiable spike representation (Meng et al., CVPR 2022).

What an integrate-and-fire neuron sends on average, `theta / T` times its spikes, is close to

    clamp(mean current, 0, theta):

the forward pass simulates every step, the backward pass differentiates this, without going back
through time. Thresholds are trained with the weights, and kept from falling too low.

Departures from the paper, arXiv 2205.00459: it trains from random weights by SGD for 200 epochs;
here a converted network is trained further, by Adam at a small rate, as batch norm is folded into
its weights and their scales differ from layer to layer. Thresholds are per channel where the
conversion has them so, and their bound is a part of their first value (the paper starts all at 6
and bounds them at 0.01). The paper's alpha is `1 - v0` of `IntegrateFire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikewright.finetuning import CrossEntropy, Loss, Surrogate
from spikewright.methods.finetune.method import FineTuning


@dataclass(frozen=True, kw_only=True)
class DSR(FineTuning):
    """The whole network at once, on labels, by Adam.

    Args:
        epochs, batch_size, learning_rate, least_threshold, ema: see `FineTuning`.

    Raises:
        ValueError: for a number out of its range.

    Example:
        >>> DSR(epochs=5).loss
        CrossEntropy(label_smoothing=0.0)
    """

    name: ClassVar[str] = "dsr"
    paper: ClassVar[str] = "Meng et al., CVPR 2022, arXiv 2205.00459"
    surrogate: ClassVar[Surrogate] = Surrogate.CLIPPED

    learning_rate: float = 1e-4

    @property
    def loss(self) -> Loss:
        return CrossEntropy()
