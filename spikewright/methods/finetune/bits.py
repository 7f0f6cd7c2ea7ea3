"""Bits: the same accuracy with fewer spikes, by a loss that counts them (Datta et al., TMLR 2025).

A two-phase network with the binary code sends the ones in the binary writing of every count. The
loss is the cross entropy plus a weight times the spikes that a neuron sends on average; their
gradient is that of the bits passed straight through to the count. Any other code is taken too: its
own spikes count.

Departures from the paper, arXiv 2312.06900: it trains a QCFS network from random weights; here a
converted network is trained further. The weight is of the mean over neurons, not of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikewright.finetuning import (
    CrossEntropy,
    Loss,
    Spikes,
    Surrogate,
    Weighted,
)
from spikewright.methods.finetune.method import LARGEST_RATE, FineTuning


@dataclass(frozen=True, kw_only=True)
class Bits(FineTuning):
    """The whole network at once, on labels and its own spikes, by Adam.

    Args:
        epochs, batch_size, learning_rate, least_threshold, ema: see `FineTuning`.
        sparsity: what a spike of the mean neuron weighs beside the cross entropy in nats, from 0 to
            1e6.

    Raises:
        ValueError: for a number out of its range.
    """

    name: ClassVar[str] = "bits"
    paper: ClassVar[str] = "Datta et al., TMLR 2025, arXiv 2312.06900"
    surrogate: ClassVar[Surrogate] = Surrogate.ROUNDED
    selects_by_loss: ClassVar[bool] = True

    learning_rate: float = 1e-4
    sparsity: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sparsity <= LARGEST_RATE:
            raise ValueError(f"sparsity lies in 0 .. 1e6, got {self.sparsity}")

    @property
    def loss(self) -> Loss:
        if not self.sparsity:
            return CrossEntropy()
        return Weighted(((1.0, CrossEntropy()), (self.sparsity, Spikes())))
