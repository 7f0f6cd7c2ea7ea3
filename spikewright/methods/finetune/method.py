"""What a method of fine-tuning is: a loss, a surrogate, an optimiser and a schedule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from spikewright.finetuning import Answer, Loss, Surrogate, TrainableNetwork

LARGEST_RATE = 1e6
"""The largest learning rate and decay: beyond every use, and float32 holds their products."""


@dataclass(frozen=True)
class Stage:
    """A part of a run, in which the same layers send spikes.

    Attributes:
        spiking: how many sites send spikes, from the first one on.
        frozen: of how many sites all that they depend on is kept as it is.
        last: whether the network of this part is the one that is wanted.
    """

    spiking: int
    frozen: int = 0
    last: bool = True


@dataclass(frozen=True, kw_only=True)
class FineTuning(ABC):
    """A published way to train a converted network further: configuration only.

    Attributes:
        name: as in `--method`.
        paper: where it comes from.
        surrogate: what stands for a layer of spiking neurons in the backward pass.
        selects_by_loss: whether the best epoch is that of the least loss on images held out, and
            not that of the highest accuracy.

    Args:
        epochs: passes over the training images, at least 1.
        batch_size: images a step, at least 1.
        learning_rate: of the first step, above 0 and at most 1e6.
        least_threshold: the part of its first value below which no threshold falls, in (0, 1].
        ema: the decay per step, between 0 and 1, of a moving average of the parameters, which is
            then what is validated and kept; None for the parameters themselves.

    Raises:
        ValueError: for a number out of its range.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    surrogate: ClassVar[Surrogate]
    selects_by_loss: ClassVar[bool] = False

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1e-3
    least_threshold: float = 0.01
    ema: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate <= LARGEST_RATE:
            raise ValueError(
                f"learning_rate must be above 0 and at most 1e6, got {self.learning_rate}"
            )
        if not 0 < self.least_threshold <= 1:
            raise ValueError(f"least_threshold lies in 0 .. 1, got {self.least_threshold}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema lies between 0 and 1, got {self.ema}")

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """What is made small."""

    def optimizer(self, network: TrainableNetwork) -> torch.optim.Optimizer:
        """The optimiser of a network's parameters: Adam, where a method says nothing else.

        The learning rate of each group is set before every step: `rate` times its "scale".
        """
        return torch.optim.Adam(self.groups(network), lr=self.learning_rate)

    def rate(self, progress: float, stage: Stage) -> float:
        """The learning rate after a part of all steps, 0 .. 1: half a cosine down to 0."""
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    def stages(self, accuracies: Sequence[float], sites: int) -> tuple[Stage, ...]:
        """The stage of every epoch so far, and of the next one.

        Args:
            accuracies: on validation, after each epoch.
            sites: of the network.

        Returns:
            One more than the epochs so far.
        """
        return (Stage(sites),) * (len(accuracies) + 1)

    def enter(self, network: TrainableNetwork, stage: Stage, images: Any) -> None:
        """Change a network as a stage begins; `images` is a batch of training images."""
        network.spiking = stage.spiking

    def measured(self, network: TrainableNetwork, batches: Iterable[Any]) -> dict[str, float]:
        """What a method measures before every epoch, by site name, on images held out."""
        return {}

    def trained(
        self,
        network: TrainableNetwork,
        images: Any,
        seed: int,
        measured: dict[str, float],
        *,
        spikes: bool = False,
    ) -> Answer:
        """The answer that the loss of a training step judges: the network's own, by default.

        Args:
            network: what is trained.
            images: a batch.
            seed: of draws; another one every epoch.
            measured: before this epoch.
            spikes: whether to count the spikes of every neuron too.
        """
        return network.observe(images, seed, spikes=spikes)

    def groups(self, network: TrainableNetwork, scale: float = 1.0) -> list[dict[str, Any]]:
        """Weights, and all else with its learning rate times `scale`, for an optimiser."""
        small = [*network.part("threshold").values(), *network.part("correction").values()]
        weights = list(network.part("weight").values())
        return [{"params": weights, "scale": 1.0}, {"params": small, "scale": scale}]
