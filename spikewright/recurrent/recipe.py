"""What a training run on sequences does, complete: the same recipe gives the same network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spikewright.errors import RecipeError
from spikewright.recurrent.alif import ALIF
from spikewright.recurrent.network import SRNN
from spikewright.recurrent.sequence_names import SequenceDataRecipe
from spikewright.runs.recipe import LARGEST_RATE, differences, refuse
from spikewright.seeding import LARGEST_SEED, seeded

LARGEST_COUNT = 2**20
"""The most epochs, and the most sequences of a batch; no run needs as many."""
LARGEST_LAYER = 2**14
"""The most neurons of a layer: their weights among themselves take 1 GiB."""
LARGEST_NUMBER = 1e6
"""The largest of the numbers of a neuron: beyond every use, and float32 holds their products."""


@dataclass(frozen=True)
class SequenceRecipe:
    """How a network is trained on sequences: Adam, whose rate falls in steps, on the cross entropy.

    Attributes:
        epochs: The number of passes over the training split, at least 1.
        batch_size: The number of sequences a step, at least 1; those left over make a smaller
            batch.
        learning_rate: The learning rate of weights and time constants, above 0 and at most 1e6.
        rate_steps: The number of epochs after which the rate is halved, again and again, at
            least 1.
        clip_gradient: The largest norm of the gradient of all parameters, above 0. Default: no
            limit.
        seed: The seed of the order of sequences; in a run, of the first weights too.

    Raises:
        RecipeError: for a number out of its range.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-2
    rate_steps: int = 10
    clip_gradient: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("epochs", "batch_size", "rate_steps")}
        refuse(
            *(
                (
                    not 1 <= count <= LARGEST_COUNT,
                    f"{name} must be 1 to {LARGEST_COUNT:,}, got {count}",
                )
                for name, count in counts.items()
            ),
            (
                not 0 < self.learning_rate <= LARGEST_RATE,
                f"learning_rate must be above 0 and at most 1e6, got {self.learning_rate}",
            ),
            (
                self.clip_gradient is not None and not 0 < self.clip_gradient <= LARGEST_NUMBER,
                f"clip_gradient must be above 0 and at most 1e6, got {self.clip_gradient}",
            ),
            (
                not 0 <= self.seed <= LARGEST_SEED,
                f"seed must be 0 to {LARGEST_SEED:,}, got {self.seed}",
            ),
        )

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 1."""
        return self.learning_rate * 0.5 ** ((epoch - 1) // self.rate_steps)


@dataclass(frozen=True)
class SRNNRecipe:
    """The spiking recurrent network of a training run; see `SRNN` and `ALIF`.

    Attributes:
        units: The number of neurons of each layer, 1 to 16,384.
        threshold: The threshold of a neuron that has long been silent, above 0.
        beta: How far spikes raise the threshold, at least 0; with 0 neurons are LIF, without
            adaptation.
        time_constant: The mean and the standard deviation of the first time constants of
            potentials, in time steps; draws below 1 are raised to it.
        adaptation_time_constant: The same of the thresholds' adaptation. Default: 150,10; LIF
            neurons have none.
        recurrent: The neurons of a layer hear each other.
        input_gain: The factor on the first weights of the input, above 0: inputs of small numbers
            want more than spikes.
        answer_steps: The number of time steps at the end that count for the answer. Default: all.

    Raises:
        RecipeError: for a number out of its range, or adaptation_time_constant without adaptation.
    """

    units: tuple[int, ...] = (128,)
    threshold: float = ALIF.threshold
    beta: float = ALIF.beta
    time_constant: tuple[float, float] = ALIF.time_constant
    adaptation_time_constant: tuple[float, float] | None = ALIF.adaptation_time_constant
    recurrent: bool = True
    input_gain: float = 1.0
    answer_steps: int | None = None

    def __post_init__(self) -> None:
        times = ("time_constant", "adaptation_time_constant")
        refuse(
            (
                not self.units or not all(1 <= n <= LARGEST_LAYER for n in self.units),
                f"units names 1 to {LARGEST_LAYER:,} neurons for each layer, e.g. 128,128",
            ),
            *(
                (
                    getattr(self, name) is not None
                    and not _mean_and_deviation(getattr(self, name)),
                    f"{name} is a mean above 0 and a standard deviation of at least 0, both at "
                    "most 1e6, e.g. 20,5",
                )
                for name in times
            ),
            *(
                (not getattr(self, name) <= LARGEST_NUMBER, f"{name} must be at most 1e6")
                for name in ("threshold", "beta")
            ),
            (
                not 0 < self.input_gain <= LARGEST_NUMBER,
                "input_gain must be above 0 and at most 1e6",
            ),
            (
                self.answer_steps is not None and self.answer_steps < 1,
                "answer_steps must be at least 1",
            ),
        )
        self.neuron()

    def neuron(self) -> ALIF:
        """What the neurons are.

        Raises:
            RecipeError: for what `ALIF` refuses.
        """
        try:
            return ALIF(
                self.threshold, self.beta, self.time_constant, self.adaptation_time_constant
            )
        except ValueError as error:
            raise RecipeError(str(error)) from error

    def network(self, inputs: int, classes: int, seed: int) -> SRNN:
        """The network with its first weights, on the CPU.

        Args:
            inputs: the number F of input features.
            classes: the number of classes.
            seed: of the weights and time constants.
        """
        with seeded(seed):
            return SRNN(
                inputs,
                self.units,
                classes,
                self.neuron(),
                recurrent=self.recurrent,
                input_gain=self.input_gain,
                answer_steps=self.answer_steps,
            )


def _mean_and_deviation(drawn: tuple[float, ...]) -> bool:
    return len(drawn) == 2 and 0 < drawn[0] <= LARGEST_NUMBER and 0 <= drawn[1] <= LARGEST_NUMBER


@dataclass(frozen=True)
class SRNNRunRecipe:
    """All of a training run of a spiking recurrent network.

    Attributes:
        data: which sequences.
        network: which network.
        training: how it is trained; its seed is that of the first weights too.

    Example:
        >>> SRNNRunRecipe(SequenceDataRecipe("recall:50"), SRNNRecipe((32,))).training.epochs
        20
    """

    data: SequenceDataRecipe
    network: SRNNRecipe = field(default_factory=SRNNRecipe)
    training: SequenceRecipe = field(default_factory=SequenceRecipe)

    def differences(self, recorded: Any) -> list[str]:
        """What differs from the recipe of a run that was begun, one line a field; see `Recipe`."""
        return differences(self, recorded)
