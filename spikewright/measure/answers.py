"""What a classifier answers to labelled images, and how many of the answers are right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Operation
from spikewright.measure.accuracy import logits_of, predictions, require_answers
from spikewright.measure.placement import device_of
from spikewright.measure.statistics import mcnemar_exact, wilson_interval
from spikewright.network import Observer, SpikingNetwork

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Accuracy:
    """A fraction of right answers.

    Attributes:
        right: how many are right; a mean over seeds may be fractional.
        samples: how many samples were answered, at least 1.
    """

    right: float
    samples: int

    @property
    def fraction(self) -> float:
        """Right answers over samples, 0 .. 1."""
        return self.right / self.samples

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the Wilson 95 % interval."""
        return wilson_interval(min(self.right, self.samples), self.samples)


@dataclass(frozen=True)
class Answers:
    """The answers of one network to some samples.

    Attributes:
        predicted: class numbers, int64 `[N]`, on the CPU.
        labels: the right ones, `[N]`.
        spikes: how many each site sent for all samples together; empty for an ANN.
        seconds: wall time of the forward passes.
    """

    predicted: Tensor
    labels: Tensor
    spikes: Mapping[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0

    @property
    def right(self) -> Tensor:
        """Which answers are right, bool `[N]`."""
        return self.predicted == self.labels

    def first(self, count: int) -> Answers:
        """The answers to the first samples alone; spikes and seconds stay those of all."""
        return replace(self, predicted=self.predicted[:count], labels=self.labels[:count])


@dataclass(frozen=True)
class Tally:
    """Whole numbers that sum up answers; the tallies of parts of the data add up to that of all.

    Attributes:
        samples: how many samples were answered.
        right: how many answers are right.
        agree: how many are the reference's.
        only_network, only_reference: samples that one of the two alone gets right.
        spikes: spikes of all sites together.
        seconds: wall time.
    """

    samples: int = 0
    right: int = 0
    agree: int = 0
    only_network: int = 0
    only_reference: int = 0
    spikes: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, answers: Answers, reference: Answers | None = None) -> Tally:
        """Count answers, beside those of a reference to the same samples where there is one."""
        right, beside = answers.right, answers if reference is None else reference
        return cls(
            samples=len(right),
            right=int(right.sum()),
            agree=int((answers.predicted == beside.predicted).sum()),
            only_network=int((right & ~beside.right).sum()),
            only_reference=int((~right & beside.right).sum()),
            spikes=sum(answers.spikes.values()),
            seconds=answers.seconds,
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            *(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True))
        )

    @property
    def accuracy(self) -> Accuracy:
        """Right answers of all."""
        return Accuracy(self.right, self.samples)

    @property
    def p_value(self) -> float:
        """The exact McNemar test of the network against the reference."""
        return mcnemar_exact(self.only_network, self.only_reference)


def answers_of(
    network: Callable[[Tensor], Any], data: Batches, device: torch.device, who: str
) -> Answers:
    """Ask a classifier, without gradients.

    Args:
        network: a map from images to an answer with logits `[B, classes]`, see `logits_of`.
        data: batches with labels, such as `labelled_batches` checks.
        device: where the network is.
        who: names the network in errors.

    Raises:
        AnalysisError: see `require_answers`.
    """
    start = time.perf_counter()
    nothing = torch.empty(0, dtype=torch.int64)
    predicted, right = [nothing], [nothing]
    for images, labels in data:
        with torch.no_grad():
            logits = logits_of(network(images.to(device)), who)
        require_answers(logits, labels, who)
        predicted.append(predictions(logits).cpu())
        right.append(labels)
    return Answers(torch.cat(predicted), torch.cat(right), seconds=time.perf_counter() - start)


def spiking_answers(
    network: SpikingNetwork, data: Batches, steps: int, seed: int, who: str
) -> Answers:
    """Ask a spiking network at one T with one seed, and count its spikes; see `answers_of`."""
    spikes = dict.fromkeys(network.sites, 0)

    def count(op: Operation, sent: Tensor) -> None:
        assert op.site is not None
        spikes[op.site.name] += int(sent.sum(dtype=torch.float64))

    def simulate(images: Tensor) -> Any:
        return network.observe(images, Observer(sent=count), steps=steps, seed=seed)

    return replace(answers_of(simulate, data, device_of(network), who), spikes=spikes)
