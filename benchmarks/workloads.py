"""Workloads: a network, its images and the settings that it is measured with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.models import resnet50, settle_batch_norm, tiny, vgg16_32, vit_b16
from benchmarks.settings import Settings
from spikewright.data import calibration_subset, loader, open_dataset
from spikewright.models import resnet20
from spikewright.models.weights import load_weights
from spikewright.seeding import seeded

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_SETTLING_IMAGES = 16


@dataclass(frozen=True)
class Workload:
    """What is measured, before any option.

    Attributes:
        name: as on the command line and in the name of the result file.
        title: what it is, in a line.
        build: makes the network.
        image_shape: (C, H, W).
        dataset: name of the data set that a folder given by path holds; None: random images only.
        defaults: settings where they differ from those of `Settings`.
        by_default: whether it is measured where no workload is named.
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    dataset: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    by_default: bool = True


_LARGE = {
    "batch": 4,
    "images": 16,
    "rounds": 5,
    "calibration_images": 64,
    "calibration_batch": 8,
}

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("resnet20", "ResNet-20, 32x32", resnet20, (3, 32, 32), "CIFAR-10"),
        Workload(
            "vgg16-32",
            "VGG-16 with batch norm, 32x32, random weights",
            vgg16_32,
            (3, 32, 32),
            defaults={"batch": 64, "images": 256, "rounds": 5, "calibration_images": 128},
        ),
        Workload(
            "resnet50-224",
            "ResNet-50, 224x224, random weights",
            resnet50,
            (3, 224, 224),
            defaults=_LARGE,
        ),
        Workload(
            "vit-b16-224",
            "ViT-B/16, 224x224, random weights",
            vit_b16,
            (3, 224, 224),
            defaults=_LARGE,
            by_default=False,
        ),
        Workload(
            "tiny",
            "one convolution, 8x8, for the tests of this benchmark",
            tiny,
            (3, 8, 8),
            defaults={"batch": 8, "images": 16, "rounds": 2, "calibration_images": 32},
            by_default=False,
        ),
    )
}


@dataclass
class Subject:
    """An opened workload: what every contender is given.

    Attributes:
        model: the trained (or random) network in eval mode; contenders copy it.
        calibration: batches `[b, C, H, W]` of the training split.
        batches: `[B, C, H, W]` each, of the test split.
        labels: int64 `[B]` for every batch; None with random images or weights.
        device: where all of this lies.
    """

    model: nn.Module
    calibration: list[Tensor]
    batches: list[Tensor]
    labels: list[Tensor] | None
    device: torch.device
    _made: dict[str, Any] = field(default_factory=dict)

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        """What several contenders run, made by the first that asks."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def open_subject(settings: Settings) -> Subject:
    """The workload that the settings name, with images and weights by path, or random ones."""
    workload = WORKLOADS[settings.workload]
    device = torch.device(settings.device)
    if settings.data is None:
        calibration, batches, labels = _random_images(workload, settings)
    else:
        calibration, batches, labels = _folder(settings)
    with seeded(settings.seed):
        model = workload.build().eval()
    if settings.weights is None:
        settle_batch_norm(model, calibration[0][:_SETTLING_IMAGES])
        labels = None  # the accuracy of random weights is no result
    else:
        load_weights(model, settings.weights)
    return Subject(
        model.to(device).requires_grad_(False),
        [batch.to(device) for batch in calibration],
        [batch.to(device) for batch in batches],
        None if labels is None else [each.to(device) for each in labels],
        device,
    )


def _random_images(
    workload: Workload, settings: Settings
) -> tuple[list[Tensor], list[Tensor], list[Tensor] | None]:
    generator = torch.Generator().manual_seed(settings.seed)
    count = settings.calibration_images + settings.images
    images = torch.randn(count, *workload.image_shape, generator=generator)
    calibration, measured = images.split([settings.calibration_images, settings.images])
    return (
        list(calibration.split(settings.calibration_batch)),
        list(measured.split(settings.batch)),
        None,
    )


def _folder(settings: Settings) -> tuple[list[Tensor], list[Tensor], list[Tensor] | None]:
    """Class folders by path; images drawn blind to their class, the same for every contender."""
    data = open_dataset(f"imagefolder:{settings.data}", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    train = calibration_subset(data.train, settings.calibration_images, settings.seed)
    test = calibration_subset(data.test, settings.images, settings.seed)
    calibration = [images for images, _ in loader(train, settings.calibration_batch)]
    pairs = list(loader(test, settings.batch))
    return calibration, [images for images, _ in pairs], [labels for _, labels in pairs]
