"""`spikewright train`: from options to a recipe, and a line of progress with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

from spikewright.cli.failures import WrongUsage
from spikewright.cli.parse import channels_of, items
from spikewright.cli.train_options import (
    ImageOptions,
    NetworkOptions,
    NumericsOptions,
    OptimisationOptions,
)
from spikewright.runs.card import ModelCard, SplitAccuracy
from spikewright.runs.kinds import Augmentation
from spikewright.runs.metrics import EpochMetrics
from spikewright.runs.recipe import (
    DataRecipe,
    NetworkRecipe,
    NumericsRecipe,
    OptimisationRecipe,
    Recipe,
)
from spikewright.training.start import start_from

SECONDS_BETWEEN_LINES = 1.0


def recipe_of(
    network: NetworkOptions,
    images: ImageOptions,
    optimisation: OptimisationOptions,
    numerics: NumericsOptions,
) -> Recipe:
    """The recipe that the options name.

    Raises:
        WrongUsage: without --data, or for an unknown augmentation.
        RecipeError: for options that contradict each other.
        ModelError: if there are no such weights to start from.
    """
    if images.data is None:
        raise WrongUsage("--data SPEC says what to train on, e.g. --data cifar10:DIR")
    of_network = {f.name: getattr(network, f.name) for f in fields(NetworkRecipe)}
    numeric = {f.name: getattr(numerics, f.name) for f in fields(NumericsRecipe)}
    return Recipe(
        data=DataRecipe(
            images.data,
            channels_of(images.mean, "--mean"),
            channels_of(images.std, "--std"),
            images.validation,
            augmentations_of(images.augment),
            images.size,
        ),
        network=NetworkRecipe(**of_network),
        optimisation=OptimisationRecipe(**vars(optimisation)),
        numerics=NumericsRecipe(**numeric),
        seed=numerics.seed,
        start=None if network.start_from is None else start_from(network.start_from),
    )


def augmentations_of(text: str) -> tuple[Augmentation, ...]:
    """Augmentations separated by commas, or `none`."""
    if text.strip().lower() == "none":
        return ()
    named = [part.lower() for part in items(text, "--augment")]
    known = list(Augmentation)
    for name in named:
        if name not in known:
            raise WrongUsage(f"--augment {name}: give some of {', '.join(known)}, or none")
    return tuple(kind for kind in known if kind in named)


def refuse_recipe_options(*groups: Any) -> None:
    """See that nothing but --resume says what to train.

    Raises:
        WrongUsage: naming the options that would have no effect.
    """
    given = [
        "--" + field.name.replace("_", "-")
        for group in groups
        for field in fields(group)
        if field.default is not MISSING and getattr(group, field.name) != field.default
    ]
    if given:
        raise WrongUsage(
            f"--resume goes on by the recipe recorded in its folder; leave out {', '.join(given)}"
        )


class ProgressLine:
    """Progress on stderr: a line an epoch, and on a terminal one that moves.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._before: float | None = None
        self._shown = -SECONDS_BETWEEN_LINES
        self._moving = sys.stderr.isatty()

    def __call__(
        self, epoch: int, epochs: int, done: int, steps: int, metrics: EpochMetrics | None
    ) -> None:
        """Take one call of `spikewright.training.Progress`."""
        now = self._clock()
        finished = epoch - 1 + done / steps
        if self._before is None:
            self._before = finished - 1 / steps if metrics is None else float(epoch - 1)
        left = (now - self._started) / (finished - self._before) * (epochs - finished)
        if metrics is not None:
            sys.stderr.write(("\r\033[K" if self._moving else "") + _epoch_line(metrics, epochs))
            sys.stderr.write(f"  {duration(left)} left\n")
        elif self._moving and now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            told = f"epoch {epoch}/{epochs}  step {done}/{steps}  {duration(left)} left"
            sys.stderr.write(f"\r\033[K{told}")
        sys.stderr.flush()


def _epoch_line(metrics: EpochMetrics, epochs: int) -> str:
    return (
        f"epoch {metrics.epoch}/{epochs}  loss {metrics.training_loss:.4f}  "
        f"training {100 * metrics.training_accuracy:.2f} %  "
        f"validation {100 * metrics.validation_accuracy:.2f} %  {metrics.seconds:.0f} s"
    )


def duration(seconds: float) -> str:
    """A duration in hours and minutes, or minutes and seconds."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s"


def summary(card: ModelCard, folder: str) -> str:
    """What a finished run came to, for people."""
    lines = [
        f"weights of epoch {card.best_epoch} of {card.epochs}, best on validation",
        f"validation  {accuracy_told(card.validation)}",
        f"test        {accuracy_told(card.test)}",
    ]
    if card.data.name.endswith("-simulated"):
        lines.append(f"SIMULATED data: {card.data.name}; no camera recorded it")
    lines.append(f"measure it with: spikewright sweep run:{folder} --data ... --threshold learned")
    return "\n".join(lines)


def accuracy_told(split: SplitAccuracy) -> str:
    """An accuracy with its interval and its counts."""
    low, high = (100 * end for end in split.wilson_95)
    return (
        f"{100 * split.accuracy:.2f} %  (95 %: {low:.2f} .. {high:.2f}; "
        f"{split.right} of {split.images})"
    )
