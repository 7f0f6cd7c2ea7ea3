"""The words of a recipe: activations, augmentations, optimisers and schedules by name."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from spikewright.errors import RecipeError

Kind = TypeVar("Kind", bound=StrEnum)


class ActivationKind(StrEnum):
    """The activation at every site of a network."""

    QCFS = "qcfs"
    CLIPPED = "clipped"
    RELU = "relu"
    GELU = "gelu"

    @property
    def learns_threshold(self) -> bool:
        """Whether every site learns one."""
        return self in (ActivationKind.QCFS, ActivationKind.CLIPPED)


class Augmentation(StrEnum):
    """A random change of every training image."""

    CROP = "crop"
    FLIP = "flip"
    CUTOUT = "cutout"
    AUTOAUGMENT = "autoaugment"


class OptimizerKind(StrEnum):
    """How gradients become steps."""

    SGD = "sgd"
    ADAMW = "adamw"


class ScheduleKind(StrEnum):
    """How the learning rate goes: from its peak down a cosine, or up first and then down."""

    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"


def kind_named(kind: type[Kind], name: Kind | str) -> Kind:
    """The member of this name, itself or as a plain string.

    Raises:
        RecipeError: if there is none.
    """
    try:
        return kind(name)
    except ValueError as error:
        what = kind.__name__.removesuffix("Kind").lower()
        raise RecipeError(f"unknown {what} {name!r}; give one of {', '.join(kind)}") from error
