"""What a training run does, complete: the same recipe gives the same network."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from spikewright.decoding import encoded
from spikewright.errors import RecipeError
from spikewright.runs.kinds import (
    ActivationKind,
    Augmentation,
    OptimizerKind,
    ScheduleKind,
    kind_named,
)
from spikewright.seeding import LARGEST_SEED

LARGEST_LEVELS = 2**16
"""The most levels of QCFS, and the most steps of a shift; no network needs as many."""
LARGEST_RATE = 1e6
"""The largest learning rate and decay: beyond every use, and float32 holds their products."""


@dataclass(frozen=True)
class NetworkRecipe:
    """The network of a training run.

    Attributes:
        model: The architecture: resnet20, resnet18, vgg16, cct6, digits_cnn, digits_resnet or
            events_cnn (for event recordings).
        activation: The activation after every layer.
        levels: The number of levels L of QCFS, 1 to 65,536; QCFS needs it, the others have none.
        shift_steps: The T of the shift threshold / 2T that a clipped ReLU is trained with
            (Deng & Gu), 1 to 65,536. Default: no shift.
        threshold: The threshold that QCFS and clipped ReLU start to learn from, above 0.
            Default: 8, as in the reference implementation of QCFS.

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
        refuse(
            (
                self.model == "srnn",
                "srnn is a network of sequences: train it by spikewright train-sequences, or "
                "spikewright.recurrent.train_srnn",
            )
        )
        object.__setattr__(self, "activation", kind_named(ActivationKind, self.activation))
        quantised = self.activation is ActivationKind.QCFS
        refuse(
            (quantised and self.levels is None, "qcfs needs its number of levels, e.g. levels=8"),
            (not quantised and self.levels is not None, f"{self.activation} has no levels"),
            (not _in_levels(self.levels), f"levels lies in 1 .. {LARGEST_LEVELS:,}"),
            (
                self.shift_steps is not None and self.activation is not ActivationKind.CLIPPED,
                f"{self.activation} has no shift_steps; only clipped has",
            ),
            (not _in_levels(self.shift_steps), f"shift_steps lies in 1 .. {LARGEST_LEVELS:,}"),
            (
                self.threshold is not None and not self.activation.learns_threshold,
                f"{self.activation} has no threshold",
            ),
            (
                self.threshold is not None and not _positive(self.threshold),
                "threshold must be finite and above 0",
            ),
        )


@dataclass(frozen=True)
class StartRecipe:
    """The trained weights that training starts from.

    Attributes:
        weights: `run:DIR`, `zoo:NAME` or a safetensors file.
        sha256: the SHA-256 of the file of weights. It alone says which they are: a file may move.
    """

    weights: str
    sha256: str


@dataclass(frozen=True)
class DataRecipe:
    """The images of a training run, and how they vary.

    Attributes:
        data: The data set: cifar10:DIR, cifar100:DIR, imagefolder:DIR, cifar10dvs:DIR or digits.
        mean: The mean of each channel, subtracted from pixels in 0 .. 1; goes with std. Default:
            that which a saved network was calibrated with; for a new one that of the data set for
            CIFAR, 0 for other data.
        std: The standard deviation of each channel, which divides what is left; goes with mean.
            Default: that which a saved network was calibrated with; for a new one that of the data
            set for CIFAR, 1 for other data.
        validation: The number of training images held out to choose the best epoch on, the same
            share of every class. Default: the validation split of the data set, or what the
            weights to start from held out, or a tenth.
        augment: The random changes of every training image: some of crop, flip, cutout and
            autoaugment, in any order; AutoAugment comes first.
        size: The side in pixels of the square that images are resized and cropped to; for event
            recordings a divisor of 128. Default: that which a saved network was calibrated with;
            for a new one images stay as they are.

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
        refuse((isinstance(self.augment, str), f"augment takes a sequence: ({self.augment!r},)"))
        named = {kind_named(Augmentation, name) for name in self.augment}
        augment = tuple(kind for kind in Augmentation if kind in named)
        refuse((len(augment) < len(self.augment), "an augmentation is named twice"))
        object.__setattr__(self, "augment", augment)
        refuse(
            ((self.mean is None) != (self.std is None), "give both mean and std, or neither"),
            (
                self.data.startswith("cifar10dvs:") and Augmentation.AUTOAUGMENT in augment,
                "autoaugment changes pictures; event recordings take crop, flip and cutout",
            ),
        )


@dataclass(frozen=True)
class OptimisationRecipe:
    """The optimisation of the weights.

    Attributes:
        epochs: The number of passes over the training images, at least 1.
        batch_size: The number of images a step, over all processes together, at least 2. Images
            left over at the end of an epoch are left out of it.
        optimizer: The rule by which gradients become steps; SGD has Nesterov momentum.
        learning_rate: The highest learning rate of the schedule, above 0 and at most 1e6.
        momentum: The momentum of SGD, from 0 to below 1; AdamW has none. Default: 0.9.
        weight_decay: The decay of all parameters, batch norm and biases too, as usual for CIFAR;
            of learned thresholds only with decay_thresholds. From 0 to 1e6.
        decay_thresholds: Weight decay pulls learned thresholds down as well.
        schedule: The course of the learning rate, which changes at every step.
        warmup_epochs: The number of epochs over which the learning rate first rises from 0; a
            one-cycle schedule has its own rise and takes none.
        label_smoothing: The share of the target that goes to all classes alike, from 0 to below 1.
        ema: The decay per step of a moving average of the weights, e.g. 0.999, between 0 and 1;
            the average is what is validated and kept. Default: no average.
        clip_gradient: The largest norm of the gradient of all weights together, above 0. Default:
            no limit.
        sparsity: What a spike of the mean neuron weighs beside the cross entropy, in nats, from 0
            to 1e6: the ones in the binary writing of QCFS's levels, which the bits method sends.
            The activation needs L = 2^T - 1 levels.
        keep_last: The weights of the last epoch are kept, where the schedule has brought the
            learning rate down, and not those of the epoch that is best on validation.

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
    sparsity: float = 0.0
    keep_last: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizer", kind_named(OptimizerKind, self.optimizer))
        object.__setattr__(self, "schedule", kind_named(ScheduleKind, self.schedule))
        adamw = self.optimizer is OptimizerKind.ADAMW
        one_cycle = self.schedule is ScheduleKind.ONE_CYCLE
        refuse(
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
            (not 0 <= self.sparsity <= LARGEST_RATE, "sparsity lies in 0 .. 1e6"),
        )


@dataclass(frozen=True)
class NumericsRecipe:
    """How it is computed.

    Attributes:
        bf16: Training steps run in bfloat16 (autocast); weights, normalisation and validation
            stay in float32.
        channels_last: Tensors have the memory layout in which most convolutions are faster.
        compile: Training steps are compiled: a minute or so to start, then faster, QCFS most of
            all.
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
        optimisation: how the weights are optimised.
        numerics: how it is computed.
        seed: the seed of the first weights, the order of images and their augmentation, at least 0.
        start: trained weights to start from, as `spikewright.training.start_from` names them;
            None starts from random ones.

    Raises:
        RecipeError: when made with a seed out of its range, or with an option of the optimisation
            that the network's activation does not have.

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
        levels = self.network.levels or 0
        refuse(
            (self.seed < 0, "seed must be at least 0"),
            (self.seed > LARGEST_SEED, f"seed must be at most {LARGEST_SEED:,}"),
            (
                self.optimisation.sparsity > 0 and (levels == 0 or levels & (levels + 1) > 0),
                "sparsity counts the spikes of QCFS with 2^T - 1 levels: levels=3, 7, 15, ...",
            ),
            (
                self.optimisation.decay_thresholds and not self.network.activation.learns_threshold,
                f"{self.network.activation} has no threshold for decay_thresholds to pull down",
            ),
        )

    def differences(self, recorded: Recipe) -> list[str]:
        """What differs from the recipe of a run that was begun; see `differences`."""
        return differences(self, recorded)


def differences(recipe: Any, recorded: Any) -> list[str]:
    """What differs between two recipes of a kind, one line a field.

    The folder of a data set may have moved: of `data` only the kind is compared, and of what the
    run starts from its SHA-256.

    Args:
        recipe: what is asked for: a dataclass with the fields `data` and `start`.
        recorded: what a run was begun with.
    """
    mine, theirs = _flat(recipe), _flat(recorded)
    return [
        f"{name}: {theirs.get(name)!r} recorded, {mine.get(name)!r} asked for"
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    ]


def refuse(*problems: tuple[bool, str]) -> None:
    """Refuse a recipe for all that is wrong with it.

    Args:
        problems: whether it is there, and what it is.

    Raises:
        RecipeError: if any is there, naming every one.
    """
    messages = [message for wrong, message in problems if wrong]
    if messages:
        raise RecipeError("; ".join(messages))


def _in_levels(count: int | None) -> bool:
    return count is None or 1 <= count <= LARGEST_LEVELS


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _flat(recipe: Any) -> dict[str, Any]:
    """The fields of a recipe and of its parts, by `part.field`, without folders."""
    entries: dict[str, Any] = {}
    for name, value in encoded(recipe).items():
        if isinstance(value, dict):
            entries |= {f"{name}.{key}": entry for key, entry in value.items()}
        else:
            entries[name] = value
    entries["data.data"] = recipe.data.data.partition(":")[0]
    entries.pop("start.weights", None)
    return entries
