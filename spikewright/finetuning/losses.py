"""What fine-tuning makes small: losses are objects, and add up with weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.finetuning.answer import Answer


@dataclass(frozen=True)
class Target:
    """What an answer is compared with.

    Attributes:
        labels: int64 `[B]`; None where there are none.
        ann: what the ANN answers to the same batch; None where no loss asks for it.
    """

    labels: Tensor | None = None
    ann: Answer | None = None

    @property
    def required_labels(self) -> Tensor:
        """The labels.

        Raises:
            ConversionError: without any.
        """
        if self.labels is None:
            raise ConversionError(
                "this loss compares with labels, and there are none: give labels=..., or fine-tune "
                "with a method that needs none, such as Distil()"
            )
        return self.labels

    @property
    def required_ann(self) -> Answer:
        """The answer of the ANN.

        Raises:
            ConversionError: without one.
        """
        if self.ann is None:
            raise ConversionError("this loss compares with the ANN: give its answer, Target(ann=)")
        return self.ann


class Loss(ABC):
    """A number for a batch, the less the better: configuration only."""

    @abstractmethod
    def __call__(self, answer: Answer, target: Target) -> Tensor:
        """The loss of an answer, a scalar with a gradient; the mean over the batch."""

    @property
    def needs_ann(self) -> bool:
        """Whether it compares with the ANN's answer."""
        return False

    @property
    def needs_labels(self) -> bool:
        """Whether it compares with labels."""
        return False

    @property
    def needs_spikes(self) -> bool:
        """Whether it looks at `Answer.spikes`."""
        return False


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The cross entropy of logits and labels, in nats.

    Args:
        label_smoothing: the share of the target that goes to all classes alike, in [0, 1).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing lies in 0 .. 1, got {self.label_smoothing}")

    @property
    def needs_labels(self) -> bool:
        return True

    def __call__(self, answer: Answer, target: Target) -> Tensor:
        labels, smoothing = target.required_labels, self.label_smoothing
        return F.cross_entropy(answer.logits, labels, label_smoothing=smoothing)


@dataclass(frozen=True)
class Distillation(Loss):
    """How far the classes' probabilities are from the ANN's: `tau^2 KL(ann / tau || snn / tau)`.

    In nats; of softmax of logits divided by the temperature tau (Hinton et al., arXiv 1503.02531).

    Args:
        temperature: tau, above 0.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    @property
    def needs_ann(self) -> bool:
        return True

    def __call__(self, answer: Answer, target: Target) -> Tensor:
        tau = self.temperature
        given, wanted = (
            F.log_softmax(one.logits / tau, 1) for one in (answer, target.required_ann)
        )
        return tau**2 * F.kl_div(given, wanted, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class RelativeError(Loss):
    """Squared distance from the ANN, in squared sizes of the ANN's: `|s - a|^2 / |a|^2`.

    Of each tensor over the whole batch; the mean over the tensors.

    Args:
        of: "outputs" of the network, or "values" of its units.
    """

    of: str = "outputs"

    def __post_init__(self) -> None:
        if self.of not in ("outputs", "values"):
            raise ValueError(f"RelativeError of 'outputs' or 'values', got {self.of!r}")

    @property
    def needs_ann(self) -> bool:
        return True

    def __call__(self, answer: Answer, target: Target) -> Tensor:
        ann = target.required_ann
        pairs: Iterable[tuple[Tensor, Tensor]] = (
            zip(answer.outputs, ann.outputs, strict=True)
            if self.of == "outputs"
            else ((value, ann.values[site]) for site, value in answer.values.items())
        )
        errors = [
            (given - wanted).square().sum() / wanted.square().sum().clamp(min=1e-12)
            for given, wanted in pairs
        ]
        return sum(errors[1:], errors[0]) / len(errors)


@dataclass(frozen=True)
class Spikes(Loss):
    """The spikes that a neuron sends, on average over all neurons of the network.

    Those of the network's code: of the binary code the ones in the binary writing of the count, as
    Datta et al. count them (arXiv 2312.06900). The gradient of each bit goes to the count as it is.
    """

    @property
    def needs_spikes(self) -> bool:
        return True

    def __call__(self, answer: Answer, target: Target) -> Tensor:
        if not answer.spikes:
            raise ConversionError("this loss looks at spikes: give observe(images, spikes=True)")
        return torch.cat([spikes.flatten() for spikes in answer.spikes.values()]).mean()


@dataclass(frozen=True)
class Weighted(Loss):
    """A sum of losses, each times its weight.

    Args:
        terms: pairs of a weight, above 0, and a loss.
    """

    terms: tuple[tuple[float, Loss], ...]

    def __post_init__(self) -> None:
        if not self.terms or any(not weight > 0 for weight, _ in self.terms):
            raise ValueError(f"a weighted loss needs terms of weights above 0, got {self.terms}")

    @property
    def needs_ann(self) -> bool:
        return any(loss.needs_ann for _, loss in self.terms)

    @property
    def needs_labels(self) -> bool:
        return any(loss.needs_labels for _, loss in self.terms)

    @property
    def needs_spikes(self) -> bool:
        return any(loss.needs_spikes for _, loss in self.terms)

    def __call__(self, answer: Answer, target: Target) -> Tensor:
        losses = [weight * loss(answer, target) for weight, loss in self.terms]
        return sum(losses[1:], losses[0])
