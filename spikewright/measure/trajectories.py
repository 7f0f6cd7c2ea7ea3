"""trajectories(): how many answers are right after every time step since the first input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.devices import cpu_by_default
from spikewright.errors import AnalysisError
from spikewright.measure.accuracy import logits_of, predictions, require_answers
from spikewright.measure.answers import Accuracy, Batches
from spikewright.measure.batches import labelled_batches, samples_in
from spikewright.measure.placement import device_of
from spikewright.measure.reference import check_reference, reference_answer
from spikewright.measure.shown import moved
from spikewright.measure.tables import aligned
from spikewright.network import SpikingNetwork


@dataclass(frozen=True)
class TrajectoryPoint:
    """The answers of one network after some time steps.

    Attributes:
        network: its name.
        steps: T.
        time: time steps since the first input, unpipelined.
        accuracy: fraction of samples right, by the latest answer until then.
        low, high: Wilson 95 % interval of the accuracy.
        agreement: fraction of predictions equal to the reference's; None without one.
    """

    network: str
    steps: int
    time: int
    accuracy: float
    low: float
    high: float
    agreement: float | None


@dataclass(frozen=True)
class Trajectories:
    """The answers of networks on the way to their last ones.

    Attributes:
        points: network after network, in the order of time.
        samples: how many were answered.
        accuracy: the reference's; None without one.
    """

    points: tuple[TrajectoryPoint, ...]
    samples: int
    accuracy: float | None

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, in the order of `points`."""
        return tuple(dict.fromkeys(point.network for point in self.points))

    def of(self, network: str) -> tuple[TrajectoryPoint, ...]:
        """The points of one network."""
        return tuple(point for point in self.points if point.network == network)

    def at(self, network: str, time: int) -> TrajectoryPoint | None:
        """The latest answers of a network until a time; None before its first one."""
        return next((p for p in reversed(self.of(network)) if p.time <= time), None)

    def __str__(self) -> str:
        shown = sorted({1 << power for power in range(12)} | {p[-1].time for p in self._curves})
        latest = max(p[-1].time for p in self._curves)
        times = [time for time in shown if time <= latest]
        lines = [["accuracy %, time steps since the first input", *map(str, times)]]
        for name in self.networks:
            known = (self.at(name, time) for time in times)
            lines.append([name, *("-" if p is None else f"{100 * p.accuracy:.1f}" for p in known)])
        return "\n".join(aligned(lines))

    @property
    def _curves(self) -> list[tuple[TrajectoryPoint, ...]]:
        return [self.of(name) for name in self.networks]


@dataclass
class _Running:
    """Right and agreeing answers so far, by time; a batch that ended early stays at its last."""

    right: dict[int, int] = field(default_factory=dict[int, int])
    agree: dict[int, int] = field(default_factory=dict[int, int])
    ended: tuple[int, int] = (0, 0)

    def add(self, right: Mapping[int, int], agree: Mapping[int, int]) -> None:
        last, known = max(right), max(self.right, default=0)
        for time in range(min(right), max(last, known) + 1):
            here = min(time, last)
            before = (self.right.get(time), self.agree.get(time))
            so_far = [self.ended[k] if v is None else v for k, v in enumerate(before)]
            self.right[time] = so_far[0] + right[here]
            self.agree[time] = so_far[1] + agree[here]
        self.ended = (self.ended[0] + right[last], self.ended[1] + agree[last])


@cpu_by_default()
def trajectories(
    networks: Mapping[str, SpikingNetwork],
    data: Batches,
    steps: int,
    reference: nn.Module | None = None,
    *,
    seed: int = 0,
    progress: Callable[[str, int], None] | None = None,
) -> Trajectories:
    """Measure the accuracy of networks after every time step; see `SpikingNetwork.trajectory`.

    Two-phase networks answer late: in the last of their windows. One-phase networks answer from the
    first step on, and spike tracers go on until they have settled.

    Args:
        networks: networks by the name that tables show.
        data: batches (images `[B, *S]`, or frames `[T, B, *S]`, and class numbers `[B]`).
        steps: T.
        reference: the source model, in eval mode, to compare predictions with.
        seed: of the draws of stochastic neurons.
        progress: called with a network's name and how many samples it has answered.

    Returns:
        A point for every network and time at which it has answered.

    Raises:
        AnalysisError: without networks or samples, for labels or answers without classes, and for
            a reference in training mode or that cannot answer.
        ConversionError: when a batch is not of the shape or dtype that a network takes.

    Example:
        >>> import torch, spikewright as sw
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
        ...                             torch.nn.Linear(8, 3)).eval()
        >>> snn = sw.convert(model, torch.rand(64, 4), neuron=sw.TPP(), steps=4)
        >>> data = [(torch.rand(10, 4), torch.arange(10) % 3)]
        >>> [point.time for point in sw.trajectories({"TPP": snn}, data, 4).points]
        [5, 6, 7, 8]
    """
    if not networks:
        raise AnalysisError("trajectories needs at least one network by name")
    check_reference(reference)
    first = next(iter(networks.values()))
    dimensions = len(first.graph.inputs[0].shape)
    running = {name: _Running() for name in networks}
    samples, right = 0, 0
    for images, labels in labelled_batches(data, dimensions):
        place = device_of(first)
        shown, truth = moved(images, place), labels.to(place)
        expected = None
        if reference is not None:
            with torch.no_grad():
                answer = reference_answer(reference, shown, dimensions)
            expected = _classes(answer, truth, "the reference")
            right += int((expected == truth).sum())
        samples += samples_in(images, dimensions)
        for name, network in networks.items():
            trajectory = network.trajectory(shown, steps, seed)
            answers = [_classes(a, truth, f"network '{name}'") for a in trajectory.answers]
            times = dict(zip(trajectory.times, answers, strict=True))
            running[name].add(
                {time: int((classes == truth).sum()) for time, classes in times.items()},
                {time: _agreeing(classes, expected) for time, classes in times.items()},
            )
            if progress is not None:
                progress(name, samples)
    points = [
        _point(name, steps, time, counts, samples, compared=reference is not None)
        for name, counts in running.items()
        for time in sorted(counts.right)
    ]
    accuracy = right / samples if reference is not None else None
    return Trajectories(tuple(points), samples, accuracy)


def _point(
    name: str, steps: int, time: int, counts: _Running, samples: int, *, compared: bool
) -> TrajectoryPoint:
    accuracy = Accuracy(counts.right[time], samples)
    agreement = counts.agree[time] / samples if compared else None
    return TrajectoryPoint(name, steps, time, accuracy.fraction, *accuracy.interval, agreement)


def _classes(answer: Any, labels: Tensor, who: str) -> Tensor:
    logits = logits_of(answer, who)
    require_answers(logits, labels, who)
    return predictions(logits)


def _agreeing(classes: Tensor, expected: Tensor | None) -> int:
    return 0 if expected is None else int((classes == expected).sum())
