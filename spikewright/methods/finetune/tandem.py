"""Progressive tandem learning: layers become spiking one after the other (Wu et al., TPAMI 2021).

A layer that has become spiking sends the counts of its real integrate-and-fire simulation. Its
gradient is that of the coupled layer of the ANN, the activation of the weights on the counts that
arrive: so errors of the spiking layers before it are seen, and no time step is kept. All that is
not frozen trains on labels. When the accuracy on images held out has not risen for some epochs, the
best network is taken, the newest spiking layer is frozen, and the next one becomes spiking. The
last epochs may train all layers at once, by the same gradient: the tandem rule without progression
(Wu et al., TNNLS 2021, arXiv 1907.01167).

Departures from the paper, arXiv 2007.01204: the image is shown at every step, not at the first
alone; the first potential is that of `IntegrateFire`; thresholds are per channel where the
conversion has them so; stages share the epochs, so that every layer has its turn, and several
layers become spiking at once where there are more layers than epochs. Limits on the precision of
weights are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor

from spikewright.finetuning import CrossEntropy, Loss, Surrogate, TrainableNetwork
from spikewright.graph.per_channel import by_channel
from spikewright.methods.finetune.method import LARGEST_RATE, FineTuning, Stage


@dataclass(frozen=True, kw_only=True)
class Tandem(FineTuning):
    """One layer after the other, from the input on, on labels, by Adam.

    Args:
        epochs: of all stages together.
        batch_size, learning_rate, least_threshold, ema: see `FineTuning`; the learning rate is a
            tenth in the last stage, and falls by half a cosine in the joint epochs.
        joint_epochs: how many of the epochs, at the end, train all layers at once, none of them
            frozen; from 0, the progressive paper, to all of them, the rule without progression,
            which keeps the thresholds of the conversion.
        patience: a stage ends after so many epochs without a better accuracy, at least 1.
        percentile: of a layer's activations, which becomes its threshold as it becomes spiking, in
            (0, 100]; None keeps the threshold of the conversion.
        weight_decay: from 0 to 1e6.

    Raises:
        ValueError: for a number out of its range.
    """

    name: ClassVar[str] = "tandem"
    paper: ClassVar[str] = "Wu et al., TPAMI 2021, arXiv 2007.01204"
    surrogate: ClassVar[Surrogate] = Surrogate.ACTIVATION

    epochs: int = 30
    learning_rate: float = 1e-4
    joint_epochs: int = 0
    patience: int = 6
    percentile: float | None = 99.9
    weight_decay: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.joint_epochs <= self.epochs:
            raise ValueError(
                f"joint_epochs lies in 0 .. {self.epochs}, which are all epochs, "
                f"got {self.joint_epochs}"
            )
        if self.patience < 1:
            raise ValueError(f"patience must be at least 1, got {self.patience}")
        if self.percentile is not None and not 0 < self.percentile <= 100:
            raise ValueError(f"percentile lies in 0 .. 100, got {self.percentile}")
        if not 0 <= self.weight_decay <= LARGEST_RATE:
            raise ValueError(f"weight_decay lies in 0 .. 1e6, got {self.weight_decay}")

    @property
    def loss(self) -> Loss:
        return CrossEntropy()

    def optimizer(self, network: TrainableNetwork) -> torch.optim.Optimizer:
        groups = self.groups(network)
        return torch.optim.Adam(groups, lr=self.learning_rate, weight_decay=self.weight_decay)

    def rate(self, progress: float, stage: Stage) -> float:
        """The learning rate: a tenth in the last stage, then half a cosine in the joint epochs."""
        alone = self.epochs - self.joint_epochs
        if self.joint_epochs and progress >= alone / self.epochs:
            joint = (progress * self.epochs - alone) / self.joint_epochs
            return super().rate(joint, stage)
        return self.learning_rate / 10 if stage.last else self.learning_rate

    def stages(self, accuracies: Sequence[float], sites: int) -> tuple[Stage, ...]:
        alone = self.epochs - self.joint_epochs
        known = len(accuracies) + 1
        if alone == 0:
            return (_joint(sites),) * known
        progressive = self._progressive(accuracies[: alone - 1], sites, alone)
        return progressive + (_joint(sites),) * (known - len(progressive))

    def _progressive(
        self, accuracies: Sequence[float], sites: int, epochs: int
    ) -> tuple[Stage, ...]:
        """The stage of every epoch so far, and of the next one, where layers take their turns."""
        at_once = -(-sites // epochs)  # layers that become spiking together, rounded up
        count = -(-sites // at_once)

        def stage(number: int) -> Stage:
            spiking = min(sites, (number + 1) * at_once)
            return Stage(spiking, frozen=number * at_once, last=number + 1 == count)

        number, best, waited = 0, -1.0, 0
        stages = [stage(number)]
        for done, accuracy in enumerate(accuracies, 1):
            best, waited = (accuracy, 0) if accuracy > best else (best, waited + 1)
            turn_over = done >= epochs * (number + 1) // count
            if number + 1 < count and (turn_over or waited >= self.patience):
                number, best, waited = number + 1, -1.0, 0
            stages.append(stage(number))
        return tuple(stages)

    def enter(self, network: TrainableNetwork, stage: Stage, images: Any) -> None:
        """Set the thresholds of the layers that become spiking by the activations they have now."""
        network.spiking = stage.frozen
        joint = self.joint_epochs > 0 and stage == _joint(len(network.graph.sites))
        if joint or self.percentile is None:
            return
        with torch.no_grad():
            values = network.observe(images).values
            for site in network.graph.sites[stage.frozen : stage.spiking]:
                theta = network.part("threshold")[site.name]
                rows = by_channel(values[site.name], site.channels).movedim(1, 0).flatten(1)
                found = _percentile(
                    rows if len(theta) > 1 else rows.reshape(1, -1), self.percentile
                )
                theta.copy_(torch.where(found > 0, found, theta))


def _joint(sites: int) -> Stage:
    """The stage in which all layers are spiking and learn."""
    return Stage(sites)


def _percentile(rows: Tensor, percentile: float) -> Tensor:
    """The value of each row that this percentage does not exceed, `[C]` of `[C, N]`."""
    place = math.ceil(Fraction(str(percentile)) * rows.shape[1] / 100)  # floats are off by one
    return rows.kthvalue(max(1, place), 1).values
