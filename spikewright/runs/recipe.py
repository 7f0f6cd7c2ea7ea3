"""What a training run does, complete: the same recipe gives the same network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikewright.decoding import decoded, encoded
from spikewright.errors import RecipeError, RunError
from spikewright.runs.kinds import (
    ActivationKind,
    Augmentation,
    OptimizerKind,
    ScheduleKind,
    kind_named,
)

LARGEST_LEVELS = 2**16
"""Of QCFS, and steps of a shift; no network needs as many."""
LARGEST_RATE = 1e6
"""Of learning and decay: beyond every use, and float32 holds its products."""


@dataclass(frozen=True)
class NetworkRecipe:
    """Which network.

    Attributes:
        model: a name of `spikewright.models.ARCHITECTURES`.
        activation: of every site, such as `"qcfs"`.
        levels: L of QCFS, 1 .. 65,536; None for the others.
        shift_steps: T of the shift `threshold / 2T` of a clipped ReLU (Deng & Gu), 1 .. 65,536;
            None trains without it.
        threshold: lambda that QCFS and clipped ReLU start from, above 0; None means 8, as in
            QCFS's reference implementation.

    Raises:
        RecipeError: when made with an unknown activation, or with an option that the activation
            does not have, or that is out of its range.
    """

    model: str = "resnet20"
    activation: ActivationKind = ActivationKind.QCFS
    levels: int | None = None
    shift_steps: int | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", kind_named(ActivationKind, self.activation))
        quantised = self.activation is ActivationKind.QCFS
        _refuse(
            (quantised and self.levels is None, "qcfs needs its number of levels, e.g. levels=8"),
            (not quantised and self.levels is not None, f"{self.activation} has no levels"),
            (not _in_levels(self.levels), f"levels lies in 1 .. {LARGEST_LEVELS:,}"),
            (
                self.shift_steps is not None and self.activation is not ActivationKind.CLIPPED,
                f"{self.activation} has no shift_steps; only clipped has",
            ),
            (not _in_levels(self.shift_steps), f"shift_steps lies in 1 .. {LARGEST_LEVELS:,}"),
            (
                self.threshold is not None and self.activation is ActivationKind.RELU,
                "relu has no threshold",
            ),
            (
                self.threshold is not None and not _positive(self.threshold),
                "threshold must be finite and above 0",
            ),
        )


@dataclass(frozen=True)
class StartRecipe:
    """Which trained weights training starts from.

    Attributes:
        weights: `run:DIR`, `zoo:NAME` or a safetensors file.
        sha256: of the file of weights. It alone says which they are: a file may move.
    """

    weights: str
    sha256: str


@dataclass(frozen=True)
class DataRecipe:
    """Which images, and how they vary.

    Attributes:
        data: as `spikewright.data.open_dataset` takes it, e.g. `"cifar10:DIR"`.
        mean: per channel, subtracted from pixels in 0 .. 1; None takes the known one of CIFAR,
            and 0 of other data.
        std: per channel, divides what is left; goes with `mean`.
        validation: images held out of the training set to choose the best epoch on; None keeps
            the data set's own split, or a tenth, or what the start held out.
        augment: names of `Augmentation`, in any order. Training images go through AutoAugment
            first, then crop, flip and cutout.
        size: side in pixels that images are brought to, as `open_dataset` does it; None keeps
            their own.

    Raises:
        RecipeError: when made with one of mean and std, an unknown augmentation or one twice, or
            AutoAugment for event recordings, whose counts are no pixels.
    """

    data: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    validation: int | None = None
    augment: tuple[Augmentation, ...] = (Augmentation.CROP, Augmentation.FLIP)
    size: int | None = None

    def __post_init__(self) -> None:
        _refuse((isinstance(self.augment, str), f"augment takes a sequence: ({self.augment!r},)"))
        named = {kind_named(Augmentation, name) for name in self.augment}
        augment = tuple(kind for kind in Augmentation if kind in named)
        _refuse((len(augment) < len(self.augment), "an augmentation is named twice"))
        object.__setattr__(self, "augment", augment)
        _refuse(
            ((self.mean is None) != (self.std is None), "give both mean and std, or neither"),
            (
                self.data.startswith("cifar10dvs:") and Augmentation.AUTOAUGMENT in augment,
                "autoaugment changes pictures; event recordings take crop, flip and cutout",
            ),
        )


@dataclass(frozen=True)
class OptimisationRecipe:
    """How the weights are found.

    Attributes:
        epochs: passes over the training images, at least 1.
        batch_size: images a step over all processes together, at least 2. Images left over at
            the end of an epoch are left out of it.
        optimizer: such as `"sgd"`, which has Nesterov momentum.
        learning_rate: the peak, above 0 and at most 1e6.
        momentum: of SGD, in 0 .. 1 (1 excluded); None means 0.9. AdamW has none.
        weight_decay: of weights, 0 .. 1e6; neither batch norm nor biases are exempt, as usual
            for CIFAR. Learned thresholds are, unless `decay_thresholds`.
        decay_thresholds: let weight decay pull learned thresholds down as well.
        schedule: of the learning rate, changed at every step, such as `"cosine"`.
        warmup_epochs: over which the learning rate first rises linearly from 0; a one-cycle
            schedule has its own rise and takes none.
        label_smoothing: in 0 .. 1 (1 excluded).
        ema: decay per step of a moving average of the weights, which is then what is validated
            and kept, in 0 .. 1 (both excluded); None keeps the weights themselves. In step s,
            from 0, it is at most (1 + s) / (10 + s), as with `num_updates` in TensorFlow's
            `ExponentialMovingAverage`, so that a short run forgets its first weights too.
        clip_gradient: the largest norm of the gradient of all weights together, above 0.

    Raises:
        RecipeError: when made with an unknown optimiser or schedule, a number out of its range,
            or an option that the optimiser or the schedule does not have.
    """

    epochs: int = 120
    batch_size: int = 128
    optimizer: OptimizerKind = OptimizerKind.SGD
    learning_rate: float = 0.1
    momentum: float | None = None
    weight_decay: float = 5e-4
    decay_thresholds: bool = False
    schedule: ScheduleKind = ScheduleKind.COSINE
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.0
    ema: float | None = None
    clip_gradient: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer", kind_named(OptimizerKind, self.optimizer))
        object.__setattr__(self, "schedule", kind_named(ScheduleKind, self.schedule))
        adamw = self.optimizer is OptimizerKind.ADAMW
        one_cycle = self.schedule is ScheduleKind.ONE_CYCLE
        _refuse(
            (self.epochs < 1, "epochs must be at least 1"),
            (self.batch_size < 2, "batch_size must be at least 2: batch norm needs two images"),
            (
                not 0 < self.learning_rate <= LARGEST_RATE,
                "learning_rate must be above 0 and at most 1e6",
            ),
            (adamw and self.momentum is not None, "adamw has no momentum; leave it out"),
            (not 0 <= (self.momentum or 0) < 1, "momentum lies in 0 .. 1, 1 excluded"),
            (not 0 <= self.weight_decay <= LARGEST_RATE, "weight_decay lies in 0 .. 1e6"),
            (not 0 <= self.warmup_epochs < self.epochs, "warmup_epochs lies in 0 .. epochs"),
            (one_cycle and self.warmup_epochs > 0, "one-cycle has its own warm-up; leave it out"),
            (not 0 <= self.label_smoothing < 1, "label_smoothing lies in 0 .. 1, 1 excluded"),
            (self.ema is not None and not 0 < self.ema < 1, "ema lies between 0 and 1"),
            (
                self.clip_gradient is not None and not _positive(self.clip_gradient),
                "clip_gradient must be finite and above 0",
            ),
        )


@dataclass(frozen=True)
class NumericsRecipe:
    """How training is computed; each changes speed, and the weights in their last bits or more.

    Attributes:
        bf16: convolutions and activations of training steps in bfloat16 (autocast). Weights,
            their gradients' sums and every evaluation stay in float32.
        channels_last: the memory layout in which most convolutions are faster.
        compile: training steps through `torch.compile`; a minute or so to start, then faster,
            QCFS most of all.
    """

    bf16: bool = False
    channels_last: bool = False
    compile: bool = False


@dataclass(frozen=True)
class Recipe:
    """All of a training run.

    Attributes:
        data: which images.
        network: which network.
        optimisation: how the weights are found.
        numerics: how it is computed.
        seed: of the first weights, the order of images and their augmentation, at least 0.
        start: trained weights to start from, as `spikewright.training.start_from` names them;
            None starts from random ones.

    Example:
        >>> Recipe(DataRecipe("digits"), NetworkRecipe("digits_cnn", levels=4)).seed
        0
    """

    data: DataRecipe
    network: NetworkRecipe
    optimisation: OptimisationRecipe = field(default_factory=OptimisationRecipe)
    numerics: NumericsRecipe = field(default_factory=NumericsRecipe)
    seed: int = 0
    start: StartRecipe | None = None

    def __post_init__(self) -> None:
        _refuse((self.seed < 0, "seed must be at least 0"))

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return encoded(self)

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """What differs from a recipe recorded by `to_dict`, one line a field.

        The folder of a data set may have moved: of `data` only the kind is compared, and of
        weights to start from their SHA-256.
        """
        mine, theirs = _flat(self.to_dict()), _flat(recorded)
        return [
            f"{name}: {theirs.get(name)!r} recorded, {mine.get(name)!r} asked for"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]


def recipe_from(recorded: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_dict` recorded.

    Raises:
        RecipeError: if fields are missing, unknown or out of range.
    """
    try:
        recipe = decoded(Recipe, recorded, "a recorded recipe")
    except RunError as error:
        raise RecipeError(f"{error}; it does not have the form of this version") from error
    odd = sorted(_flat(recipe.to_dict()).keys() ^ _flat(recorded).keys())
    if odd:
        raise RecipeError(
            f"a recorded recipe does not have the form of this version: {', '.join(odd)}"
        )
    return recipe


def _refuse(*problems: tuple[bool, str]) -> None:
    told = [what for wrong, what in problems if wrong]
    if told:
        raise RecipeError("; ".join(told))


def _in_levels(count: int | None) -> bool:
    return count is None or 1 <= count <= LARGEST_LEVELS


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _flat(recorded: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in recorded.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": entry for key, entry in value.items()}
        else:
            found[name] = value
    if isinstance(found.get("data.data"), str):
        found["data.data"] = found["data.data"].partition(":")[0]
    found.pop("start.weights", None)
    return found
