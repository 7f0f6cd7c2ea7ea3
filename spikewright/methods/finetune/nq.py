"""NQ: training with noise of the size of the residual error (Huang et al., arXiv 2404.17456).

The ANN is trained, its activations quantised (QCFS), with normal noise behind each layer. The noise
has the size of what one-phase neurons do otherwise, measured anew before every epoch by simulating
the spiking network on images held out. What is validated and kept is the spiking network.

Departures from the paper: see docs/methods/nq.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from spikewright.checks import whole_number
from spikewright.finetuning import (
    Answer,
    CrossEntropy,
    Loss,
    Surrogate,
    TrainableNetwork,
    quantised_answer,
    residual_noise,
)
from spikewright.methods.finetune.method import FineTuning


@dataclass(frozen=True, kw_only=True)
class NQ(FineTuning):
    """The quantised ANN with residual noise, on labels, by Adam.

    Args:
        epochs, batch_size, learning_rate, least_threshold, ema: see `FineTuning`.
        levels: L of the activations that are trained, 1 to 255.
        noise: the noise is so many times its measured size, 0 to 100; 0 for none.

    Raises:
        ValueError: for a number out of its range.
    """

    name: ClassVar[str] = "nq"
    paper: ClassVar[str] = "Huang et al., TNNLS, arXiv 2404.17456"
    surrogate: ClassVar[Surrogate] = Surrogate.ROUNDED

    learning_rate: float = 1e-4
    levels: int = 4
    noise: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = whole_number(self.levels, least=1)
        if levels is None or levels > 255:
            raise ValueError(f"levels lie in 1 .. 255, got {self.levels}")
        object.__setattr__(self, "levels", levels)
        if not 0 <= self.noise <= 100:
            raise ValueError(f"noise lies in 0 .. 100, got {self.noise}")

    @property
    def loss(self) -> Loss:
        return CrossEntropy()

    def measured(self, network: TrainableNetwork, batches: Iterable[Any]) -> dict[str, float]:
        if not self.noise:
            return {}
        found = residual_noise(network, batches, self.levels)
        return {site: self.noise * sigma for site, sigma in found.items()}

    def trained(
        self,
        network: TrainableNetwork,
        images: Any,
        seed: int,
        measured: dict[str, float],
        *,
        spikes: bool = False,
    ) -> Answer:
        return quantised_answer(network, images, self.levels, measured, seed)
