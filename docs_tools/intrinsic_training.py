"""Small networks of self-connected layers, trained for docs/intrinsic.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from spikewright.intrinsic import EscapeNoise, SelfConnectedLayer, SelfConnection
from spikewright.recurrent import (
    ReadOut,
    SequenceData,
    SequenceRecipe,
    digit_sequences,
    recall_sequences,
    sequence_accuracy,
    train_on_sequences,
)
from spikewright.seeding import seeded

SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Run:
    """One network trained once.

    Attributes:
        task: "rows" or "recall".
        variant: which structure.
        seed: of its first weights and of the order of sequences.
        test: accuracy on the test split, 0 .. 1, in the epoch that validation chose.
    """

    task: str
    variant: str
    seed: int
    test: float


class Network(nn.Module):
    """A self-connected layer and a leaky read-out: log-probabilities `[B, C]` of `[T, B, F]`.

    In training every pass draws anew; otherwise the seed is 0.
    """

    def __init__(
        self, data: SequenceData, connection: SelfConnection | None, noise: EscapeNoise | None
    ) -> None:
        super().__init__()
        features, classes = data.features, len(data.classes)
        self.layer = SelfConnectedLayer(
            features, UNITS, connection, noise, time_constant=TIME_CONSTANT, threshold=0.3
        )
        with torch.no_grad():
            self.layer.inward.weight.mul_(GAIN)
        self.read_out = ReadOut(UNITS, classes)
        self._passes = 0

    def forward(self, x: Tensor) -> Tensor:
        """The read-out's mean over the last steps."""
        seed = None
        if self.layer.stochastic:
            self._passes += self.training
            seed = self._passes if self.training else 0
        potentials = self.read_out(self.layer(x, seed=seed))[-ANSWER_STEPS:]
        said = torch.log_softmax(potentials, 2)
        return torch.logsumexp(said, 0) - math.log(len(said))


UNITS, TIME_CONSTANT, GAIN, ANSWER_STEPS = 64, (5.0, 1.0), 3.0, 4
NOISE = EscapeNoise(0.1)
VARIANTS: Mapping[str, tuple[SelfConnection | None, EscapeNoise | None]] = {
    "none": (None, None),
    "diagonal, potentials": (SelfConnection("diagonal", "potentials"), None),
    "full, potentials": (SelfConnection("full", "potentials"), None),
    "diagonal, spikes": (SelfConnection("diagonal", "spikes"), None),
    "full, spikes": (SelfConnection("full", "spikes"), None),
    "none, escape noise": (None, NOISE),
}
TASKS = ("rows", "recall")
ALL_RUNS = len(VARIANTS) * len(TASKS) * len(SEEDS)
RECIPE = SequenceRecipe(epochs=8, rate_steps=3, clip_gradient=1.0)


def data_of(task: str) -> SequenceData:
    """Digits row by row, or one of four symbols after 30 noisy steps."""
    return (
        digit_sequences("rows", repeats=2)
        if task == "rows"
        else recall_sequences(30, sizes=(512, 256, 1024))
    )


def runs(
    tasks: Sequence[str] = TASKS,
    seeds: Sequence[int] = SEEDS,
    recipe: SequenceRecipe = RECIPE,
    done: Sequence[Run] = (),
) -> Iterator[Run]:
    """Every variant trained on every task with every seed, but for those that are done."""
    found = {(run.task, run.variant, run.seed) for run in done}
    for task in tasks:
        data = data_of(task)
        for variant, structure in VARIANTS.items():
            for seed in seeds:
                if (task, variant, seed) in found:
                    continue
                with seeded(seed):
                    network = Network(data, *structure)
                model = train_on_sequences(network, data, replace(recipe, seed=seed)).model
                yield Run(task, variant, seed, round(sequence_accuracy(model, data.test), 5))
