"""What networks answer to samples, how many of the answers are right, and how near others'."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from spikewright.graph import Operation
from spikewright.graph.given import without_gradients
from spikewright.measure.accuracy import (
    classes_of,
    logits_of,
    predictions,
    require_answers,
)
from spikewright.measure.batches import samples_in
from spikewright.measure.likeness import Likeness, values_of
from spikewright.measure.metric import Metric
from spikewright.measure.placement import device_of
from spikewright.measure.shown import moved
from spikewright.measure.statistics import mcnemar_exact, wilson_interval
from spikewright.network import Observer, SpikingNetwork

Batches = Iterable[tuple[Any, Any]]
"""Samples, see `Shown`, with class numbers `[B]`, with other labels for a metric, or with None."""


@dataclass(frozen=True)
class Asked:
    """What is taken of answers, beside the classes that they name.

    Attributes:
        metric: of the user's own; labels may then be anything, and classes are counted where
            labels and answers are of classes.
        places: of the tensors that are compared with a reference's; none without a reference.
        dimensions: how many a sample has, where it may be shown as frames `[T, B, *S]`.
    """

    metric: Metric | None = None
    places: tuple[str, ...] = ()
    dimensions: int | None = None


CLASSES = Asked()
"""Classes alone."""


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
        predicted: class numbers, int64 `[N]`, on the CPU; `[0]` where it names no classes.
        labels: the right ones, alike.
        samples: N.
        values: what is compared, floating `[N, F]`, on the CPU, or None.
        scores: the metric of each sample, float64 `[N]`, or None.
        per_sample: whether each sample has a score of its own, and not that of its batch.
        spikes: how many each site sent for all samples together; empty for an ANN.
        settling: the most time steps that a sample's network settled after its window.
        seconds: wall time of asking: the forward passes, and what is taken of their answers, a
            metric included; reading the data is not.
    """

    predicted: Tensor
    labels: Tensor
    samples: int
    values: Tensor | None = None
    scores: Tensor | None = None
    per_sample: bool = False
    spikes: Mapping[str, int] = field(default_factory=dict[str, int])
    settling: int = 0
    seconds: float = 0.0

    @property
    def right(self) -> Tensor:
        """Which answers are right, bool `[N]`, or `[0]` where there are no classes."""
        return self.predicted == self.labels

    def first(self, count: int) -> Answers:
        """The answers to the first samples alone; spikes and seconds stay those of all."""
        parts = {name: getattr(self, name) for name in ("predicted", "labels", "values", "scores")}
        some = {name: None if part is None else part[:count] for name, part in parts.items()}
        return replace(self, samples=min(count, self.samples), **some)


@dataclass(frozen=True)
class Tally:
    """Numbers that sum up answers; the tallies of parts of the data add up to that of all.

    Attributes:
        samples: how many samples were answered.
        classified: how many of them have classes, in their answers and their labels.
        right: how many answers are right.
        agree: how many are the reference's.
        only_network, only_reference: samples that one of the two alone gets right.
        spikes: spikes of all sites together.
        settling: the most time steps that a sample's network settled after its window.
        seconds: wall time, see `Answers`.
        gap, size, cosine: of the answers beside the reference's, see `Likeness`.
        score, squares: sums of the metric, and of its squares.
        scored: samples that have a score of their own.
    """

    samples: int = 0
    classified: int = 0
    right: int = 0
    agree: int = 0
    only_network: int = 0
    only_reference: int = 0
    spikes: int = 0
    settling: int = 0
    seconds: float = 0.0
    gap: float = 0.0
    size: float = 0.0
    cosine: float = 0.0
    score: float = 0.0
    squares: float = 0.0
    scored: int = 0

    @classmethod
    def of(cls, answers: Answers, reference: Answers | None = None) -> Tally:
        """Count answers, beside those of a reference to the same samples where there is one.

        Raises:
            AnalysisError: where the two cannot be compared.
        """
        right, beside = answers.right, answers if reference is None else reference
        both = len(right) == len(beside.right)  # else the reference names no classes
        tally = cls(
            samples=answers.samples,
            classified=len(right) if both else 0,
            right=int(right.sum()),
            agree=int((answers.predicted == beside.predicted).sum()) if both else 0,
            only_network=int((right & ~beside.right).sum()) if both else 0,
            only_reference=int((~right & beside.right).sum()) if both else 0,
            spikes=sum(answers.spikes.values()),
            settling=answers.settling,
            seconds=answers.seconds,
        )
        if reference is not None and answers.values is not None and reference.values is not None:
            tally = replace(tally, **vars(Likeness.of(answers.values, reference.values)))
        if answers.scores is None:
            return tally
        score, squares = (float(v.sum()) for v in (answers.scores, answers.scores.square()))
        scored = answers.samples if answers.per_sample else 0
        return replace(tally, score=score, squares=squares, scored=scored)

    def __add__(self, other: Tally) -> Tally:
        sums = [a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)]
        return replace(Tally(*sums), settling=max(self.settling, other.settling))

    @property
    def accuracy(self) -> Accuracy:
        """Right answers of all."""
        return Accuracy(self.right, self.samples)

    @property
    def relative_error(self) -> float | None:
        """The distance to the reference's answers over their size; None where that is 0."""
        return significant(math.sqrt(self.gap / self.size)) if self.size else None

    @property
    def p_value(self) -> float:
        """The exact McNemar test of the network against the reference."""
        return mcnemar_exact(self.only_network, self.only_reference)


def significant(value: float) -> float:
    """A number as far as it means something: sums of floats depend on how data is cut."""
    return float(f"{value:.6g}")


def answers_of(
    network: Callable[[Any], Any],
    data: Batches,
    device: torch.device,
    who: str,
    asked: Asked = CLASSES,
) -> Answers:
    """Ask a network, without gradients.

    Args:
        network: a map from images to an answer: where there are class numbers, with logits
            `[B, classes]`, see `logits_of`.
        data: batches, such as `labelled_batches` checks.
        device: where the network is.
        who: names the network in errors.
        asked: what is taken of the answers.

    Raises:
        AnalysisError: see `require_answers`, `values_of` and `Metric.values`.
    """
    taken, seconds = list[_Taken](), 0.0
    for images, labels in data:
        start = time.perf_counter()
        with torch.no_grad():
            answer = without_gradients(network(moved(images, device)))
            samples = samples_in(images, asked.dimensions)
            taken.append(_taken(answer, labels, samples, device, who, asked))
        seconds += time.perf_counter() - start
    return _joined(taken, seconds)


@dataclass(frozen=True)
class _Taken:
    """What is taken of the answer to one batch."""

    samples: int
    predicted: Tensor
    labels: Tensor
    values: Tensor | None
    scores: Tensor | None
    per_sample: bool


def _taken(
    answer: Any, labels: Any, samples: int, device: torch.device, who: str, asked: Asked
) -> _Taken:
    nothing = torch.empty(0, dtype=torch.int64)
    values = values_of(answer, asked.places, who) if asked.places else None
    predicted = right = nothing
    classes = labels if asked.metric is None else classes_of(answer, labels)
    if classes is not None:
        logits = logits_of(answer, who)
        require_answers(logits, classes, who)
        predicted, right = predictions(logits).cpu(), classes.cpu()
    if asked.metric is None:
        return _Taken(samples, predicted, right, values, None, per_sample=False)
    scores, each = asked.metric.values(answer, _copied(labels, device), samples, who)
    return _Taken(samples, predicted, right, values, scores, per_sample=each)


def _copied(labels: Any, device: torch.device) -> Any:
    """Labels on a device, for a metric to change: the next network is asked for the same ones."""

    def copied(leaf: Any) -> Any:
        return leaf.to(device, copy=True) if isinstance(leaf, Tensor) else leaf

    return tree_map(copied, labels)


def _joined(taken: Sequence[_Taken], seconds: float) -> Answers:
    """The answers to all batches."""
    nothing = torch.empty(0, dtype=torch.int64)
    values = [t.values for t in taken if t.values is not None]
    scores = [t.scores for t in taken if t.scores is not None]
    return Answers(
        predicted=torch.cat([nothing, *(t.predicted for t in taken)]),
        labels=torch.cat([nothing, *(t.labels for t in taken)]),
        samples=sum(t.samples for t in taken),
        values=torch.cat(values) if values else None,
        scores=torch.cat(scores) if scores else None,
        per_sample=all(t.per_sample for t in taken),
        seconds=seconds,
    )


def spiking_answers(
    network: SpikingNetwork,
    data: Batches,
    steps: int,
    seed: int,
    who: str,
    asked: Asked = CLASSES,
) -> Answers:
    """Ask a spiking network at one T with one seed, and count its spikes; see `answers_of`."""
    spikes = dict.fromkeys(network.sites, 0)

    def count(op: Operation, sent: Tensor) -> None:
        assert op.site is not None
        spikes[op.site.name] += int(sent.sum(dtype=torch.float64))

    settling, latency = [0], network.latency(steps)

    def settled(after: Tensor) -> None:
        settling.append(int(after.max()) - latency)

    observer = Observer(sent=count, settled=settled if network.settles else None)

    def simulate(images: Any) -> Any:
        return network.observe(images, observer, steps=steps, seed=seed)

    answers = answers_of(simulate, data, device_of(network), who, asked)
    return replace(answers, spikes=spikes, settling=max(settling))
