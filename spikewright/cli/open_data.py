"""Opens the data that the options name, and draws from it the images to measure on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.options import MAXIMUM_SIZE, DataOptions, MeasurementOptions, Split
from spikewright.cli.parse import channels_of
from spikewright.cli.skipped import SkippedPictures
from spikewright.data import ImageData, Resize, calibration_subset, loader, open_dataset
from spikewright.data.double import InDouble
from spikewright.data.events import EventData, EventImages, frame_batches
from spikewright.data.image_data import dataset_length

LIMIT_SEED_OFFSET = 1
"""Keeps the draw of `--limit` apart from that of the calibration images."""


@dataclass(frozen=True)
class Preparation:
    """How pictures become what a network takes.

    Attributes:
        mean, std: pixels in 0 .. 1 less the one, divided by the other, a value a channel; None
            leaves them as they are.
        size: the side they are resized and cropped to; None leaves them as they are.
        resize: what is done before they are cropped, where `open_dataset` would do something else.

    Raises:
        ValueError: when made with sizes that no run needs.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: int | None = None
    resize: Resize | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= MAXIMUM_SIZE:
            raise ValueError(f"size must lie in 1 .. {MAXIMUM_SIZE}, got {self.size}")
        if self.resize is not None and self.resize.side > 2 * MAXIMUM_SIZE:
            raise ValueError(f"resize.side is at most {2 * MAXIMUM_SIZE}, got {self.resize.side}")

    def overruled(self, options: DataOptions) -> Preparation:
        """The same, where the options say nothing else; of another size the same part is kept."""
        mean, std = channels_of(options.mean, "--mean"), channels_of(options.std, "--std")
        size, resize = self.size, self.resize
        if options.size is not None:
            if size is not None and resize is not None:
                resize = replace(resize, side=round(resize.side * options.size / size))
            size = options.size
        if mean is None and std is None:
            return Preparation(self.mean, self.std, size, resize)
        return Preparation(mean, std, size, resize)


@dataclass(frozen=True)
class OpenData:
    """Data that is open, and how it is gone through.

    Attributes:
        images: all splits.
        preparation: that the images went through.
        batch_size: images a batch.
        skipped: pictures that were left out.
        double: whether images are given in float64.
    """

    images: ImageData
    preparation: Preparation
    batch_size: int
    skipped: SkippedPictures
    double: bool = False

    def measured(self, options: MeasurementOptions, seed: int) -> DataLoader[tuple[Tensor, int]]:
        """Batches of the images that accuracies are measured on.

        Raises:
            WrongUsage: when `--limit` asks for more images than there are.
        """
        chosen = _chosen(self.images, self.images.name, options, seed)
        return loader(self.typed(chosen), self.batch_size)

    def frames(
        self, options: MeasurementOptions, seed: int
    ) -> Callable[[int], DataLoader[tuple[Tensor, int]]]:
        """The same recordings by T, as batches of T frames.

        Raises:
            WrongUsage: when the data are no event recordings.
        """
        data = self.images
        if not isinstance(data, EventImages):
            raise WrongUsage(
                f"--frames shows event recordings frame by frame; '{data.name}' holds still "
                "images: leave it out"
            )

        def at(steps: int) -> DataLoader[tuple[Tensor, int]]:
            recordings = _chosen(data.in_frames(steps), data.name, options, seed)
            return frame_batches(self.typed(recordings), self.batch_size)

        return at

    def name(self, *, frames: bool) -> str:
        """What was measured on, as images or as T frames."""
        return f"{self.images.name}, as T frames" if frames else self.images.name

    def typed(self, images: Dataset[tuple[Tensor, int]]) -> Dataset[tuple[Tensor, int]]:
        """Images in the precision that is asked for."""
        return InDouble(images) if self.double else images


def open_data(options: DataOptions, known: Preparation, *, double: bool) -> OpenData:
    """Open the data set of --data.

    Args:
        options: which, and how it is prepared.
        known: the preparation where the options name none.
        double: give images in float64.

    Raises:
        WrongUsage: when it does not exist, or its options do not fit it.
    """
    preparation, skipped = known.overruled(options), SkippedPictures()
    with opening():
        images = open_dataset(
            options.data,
            mean=preparation.mean,
            std=preparation.std,
            size=preparation.size,
            resize=preparation.resize,
            on_damaged=None if options.strict else skipped,
        )
    return OpenData(images, preparation, options.batch_size, skipped, double)


def _chosen(
    data: ImageData | EventData, name: str, options: MeasurementOptions, seed: int
) -> Dataset[tuple[Tensor, int]]:
    """What `--split` and `--limit` choose."""
    images = {Split.TEST: data.test, Split.VALIDATION: data.validation}[options.split]
    available = dataset_length(images)
    if options.limit is None:
        return images
    if options.limit > available:
        raise WrongUsage(
            f"--limit {options.limit}: the {options.split} split of '{name}' holds "
            f"{available} images"
        )
    return calibration_subset(images, options.limit, seed + LIMIT_SEED_OFFSET)
