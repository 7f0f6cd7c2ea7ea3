"""The images of fine-tuning, in memory: those that train, and those that choose the best epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import DataError
from spikewright.measure.checked import class_numbers, described

Augmentation = Callable[[Tensor, Tensor, int], Tensor]
"""Makes training input of stored images, of their numbers and of the epoch, counted from 1."""

HELD_OUT = 4
"""Every fourth image chooses the best epoch, where no others are given for that."""


@dataclass(frozen=True)
class TuningData:
    """The images of fine-tuning, and those that choose the best epoch.

    Attributes:
        images: as stored, `[N, ...]`.
        labels: int64 `[N]`; None without any.
        train: int64, the numbers of the images that are trained on.
        validation: int64, of those that choose the best epoch.
        plain: makes input of stored images.
        augmented: makes training input of stored images, their numbers and the epoch.
    """

    images: Tensor
    labels: Tensor | None
    train: Tensor
    validation: Tensor
    plain: Callable[[Tensor], Tensor]
    augmented: Augmentation

    @classmethod
    def of(
        cls, images: Any, labels: Tensor | None, augmented: Augmentation | None = None
    ) -> TuningData:
        """Images that are input as they are; every fourth one is held out.

        Raises:
            DataError: for anything but one tensor of at least 8, or another number of labels.
            AnalysisError: for labels that are no class numbers.
        """
        if not isinstance(images, Tensor):
            raise DataError(
                f"the images are {described(images)}; give one tensor [N, *S]: networks of several "
                "inputs are not fine-tuned"
            )
        if labels is not None:
            labels = class_numbers(labels, "the labels")
            if len(labels) != len(images):
                raise DataError(f"there are {len(images)} images and {len(labels)} labels")
        if len(images) < 2 * HELD_OUT:
            raise DataError(
                f"fine-tuning holds every fourth image out and needs at least {2 * HELD_OUT}, got "
                f"{len(images)}"
            )
        apart = torch.arange(len(images)) % HELD_OUT == 0
        train, validation = (~apart).nonzero().flatten(), apart.nonzero().flatten()
        augmented = _not_augmented if augmented is None else augmented
        return cls(images, labels, train, validation, _as_it_is, augmented)

    def on(self, device: torch.device) -> TuningData:
        """The same images where they are, which are shown on a device."""
        return replace(
            self,
            plain=lambda images: self.plain(images).to(device),
            augmented=lambda images, numbers, epoch: self.augmented(images, numbers, epoch).to(
                device
            ),
        )

    def batch(self, numbers: Tensor, epoch: int | None) -> tuple[Tensor, Tensor | None]:
        """Input and labels of some images; augmented for training in an epoch, counted from 1."""
        images = self.images[numbers]
        x = self.plain(images) if epoch is None else self.augmented(images, numbers, epoch)
        return x, None if self.labels is None else self.labels[numbers].to(x.device)


def _as_it_is(images: Tensor) -> Tensor:
    return images


def _not_augmented(images: Tensor, numbers: Tensor, epoch: int) -> Tensor:
    return images
