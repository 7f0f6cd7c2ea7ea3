"""Running totals of a sweep: what one network at one T, or the reference, has come to so far."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.graph import Operation
from spikewright.measure.accuracy import predictions, require_answers
from spikewright.measure.statistics import mcnemar_exact, wilson_interval
from spikewright.measure.sweep_results import Reference, SweepRow
from spikewright.network import Observer, SpikingNetwork

_TOTALS = ("correct", "agree", "only_network", "only_reference", "spikes", "seconds")
"""The running totals of a `Tally`."""


@dataclass
class Tally:
    """One network at one T; lists are by seed."""

    name: str
    network: SpikingNetwork
    steps: int
    seeds: tuple[int, ...]
    correct: list[int] = field(default_factory=list)
    agree: list[int] = field(default_factory=list)
    only_network: int = 0
    only_reference: int = 0
    spikes: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.correct = [0] * len(self.seeds)
        self.agree = [0] * len(self.seeds)

    def add(self, number: int, images: Tensor, labels: Tensor, expected: Tensor | None) -> None:
        """Simulate a batch with the seed of that number; `expected` are reference predictions.

        What it raises leaves the totals as they were.
        """
        spikes = 0

        def watch(op: Operation, sent: Tensor) -> None:
            nonlocal spikes
            spikes += int(sent.sum())

        start = time.perf_counter()
        seed = self.seeds[number]
        logits = self.network.observe(images, Observer(sent=watch), steps=self.steps, seed=seed)
        predicted = _predictions(logits, labels, f"network '{self.name}' at T = {self.steps}")
        self.seconds += time.perf_counter() - start
        self.spikes += spikes
        right = predicted == labels
        self.correct[number] += int(right.sum())
        if expected is not None:
            self.agree[number] += int((predicted == expected).sum())
            if number == 0:
                self.only_network += int((right & (expected != labels)).sum())
                self.only_reference += int((~right & (expected == labels)).sum())

    @property
    def totals(self) -> dict[str, Any]:
        """What it has come to, as plain JSON values; set, it goes on from there."""
        return {name: getattr(self, name) for name in _TOTALS}

    @totals.setter
    def totals(self, totals: Mapping[str, Any]) -> None:
        for name in _TOTALS:
            setattr(self, name, totals[name])

    def row(self, samples: int, compared: bool) -> SweepRow:
        """The finished row; `compared` when there was a reference."""
        accuracies = tuple(correct / samples for correct in self.correct)
        accuracy = mean(accuracies)
        low, high = wilson_interval(min(accuracy * samples, samples), samples)
        per_image = self.spikes / (samples * len(self.seeds))
        neurons = sum(math.prod(op.shape) for op in self.network.graph.neurons)
        p_value = mcnemar_exact(self.only_network, self.only_reference)
        return SweepRow(
            network=self.name,
            steps=self.steps,
            latency=self.network.latency(self.steps),
            accuracy=accuracy,
            low=low,
            high=high,
            seeds=len(self.seeds),
            spread=stdev(accuracies) if len(accuracies) > 1 else 0.0,
            per_seed=accuracies,
            samples=samples,
            agreement=mean(self.agree) / samples if compared else None,
            only_network=self.only_network if compared else None,
            only_reference=self.only_reference if compared else None,
            p_value=p_value if compared else None,
            spikes_per_image=per_image,
            spikes_per_neuron=per_image / neurons,
            seconds=self.seconds,
        )


@dataclass
class ReferenceTally:
    """The reference, run once."""

    model: nn.Module
    correct: int = 0
    seconds: float = 0.0

    def predict(self, images: Tensor, labels: Tensor) -> Tensor:
        """Run a batch and return the predicted classes, int64 `[B]`."""
        start = time.perf_counter()
        with torch.no_grad():
            predicted = _predictions(self.model(images), labels, "the reference")
        self.seconds += time.perf_counter() - start
        return predicted

    def count(self, predicted: Tensor, labels: Tensor) -> None:
        """Add the predictions of a batch."""
        self.correct += int((predicted == labels).sum())

    def result(self, samples: int) -> Reference:
        """What it came to over all samples."""
        low, high = wilson_interval(self.correct, samples)
        return Reference(self.correct / samples, low, high, samples, self.seconds)


def _predictions(logits: Tensor, labels: Tensor, who: str) -> Tensor:
    """Predicted classes, int64 `[B]` on the CPU."""
    require_answers(logits, labels, who)
    return predictions(logits).cpu()
