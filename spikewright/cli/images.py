"""The data that the options name: opened, prepared, and the images to measure on drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spikewright.cli.console import print_note
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.fit import answers_classes
from spikewright.cli.options import MAXIMUM_SIZE, DataOptions, MeasurementOptions, Split
from spikewright.data import ImageData, Resize, calibration_subset, loader, open_dataset
from spikewright.data.content import content_hash
from spikewright.data.dtypes import InDtype
from spikewright.data.events import EventData, EventImages, frame_batches
from spikewright.data.image_data import dataset_length
from spikewright.graph import Graph
from spikewright.measure.cells import Cells
from spikewright.runs.recipe import DataRecipe
from spikewright.training.never_seen import NeverSeen
from spikewright.training.splits import with_unseen_validation

LIMIT_SEED_OFFSET = 1
"""The offset of the seed that keeps the draw of `--limit` apart from that of calibration."""
SKIPPED_SHOWN = 5
"""The number of pictures left out that are named on stderr; all stand in the results."""
PREPARATION, CLASSES = "preparation", "classes"
"""The notes that a saved network carries of its images."""


class SkippedPictures:
    """The names of pictures that cannot be read, over interruptions too."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._cells: Cells | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The pictures left out so far, in this process and in others, in order."""
        kept = [] if self._cells is None else self._cells.all_within(str)
        return tuple(sorted(self._names.union(kept)))

    def __call__(self, name: str) -> None:
        """Note a picture."""
        if name not in self._names:
            self._names.add(name)
            if self._cells is not None:
                self._cells.keep(name, name)

    def keep_in(self, cells: Cells) -> None:
        """Note pictures among the cells of a measurement, where a later start finds them."""
        self._cells = cells.within("picture left out")

    def report(self) -> None:
        """Say on stderr what was left out, if anything was."""
        left_out = self.names
        if left_out:
            more = len(left_out) - SKIPPED_SHOWN
            names = ", ".join(left_out[:SKIPPED_SHOWN]) + (f" and {more} more" if more > 0 else "")
            pictures = "1 picture" if len(left_out) == 1 else f"{len(left_out)} pictures"
            print_note(f"left out {pictures} that cannot be read (--strict refuses them): {names}")


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

    def overruled(self, options: DataOptions | DataRecipe) -> Preparation:
        """The same, where the options say nothing else; of another size the same part is kept."""
        size, resize = self.size, self.resize
        if options.size is not None:
            if size is not None and resize is not None:
                resize = replace(resize, side=round(resize.side * options.size / size))
            size = options.size
        if options.mean is None and options.std is None:
            return Preparation(self.mean, self.std, size, resize)
        return Preparation(options.mean, options.std, size, resize)


@dataclass(frozen=True)
class OpenData:
    """Data that is open, and how it is gone through.

    Attributes:
        images: all splits.
        preparation: that the images went through.
        batch_size: images a batch.
        skipped: the pictures that were left out.
        dtype: of the images that are given.
    """

    images: ImageData
    preparation: Preparation
    batch_size: int
    skipped: SkippedPictures
    dtype: torch.dtype = torch.float32

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

    def shown(
        self, options: MeasurementOptions, seed: int, *, frames: bool
    ) -> DataLoader[tuple[Tensor, int]] | Callable[[int], DataLoader[tuple[Tensor, int]]]:
        """The images to measure on, or of recordings, with `frames`, T frames by T."""
        return self.frames(options, seed) if frames else self.measured(options, seed)

    def content(self, options: MeasurementOptions, seed: int) -> str:
        """SHA-256 of the images to measure on, or of the recordings that they come from.

        Raises:
            WrongUsage: when `--limit` asks for more images than there are.
            DataError: when a file cannot be read.
        """
        return content_hash(_chosen(self.images, self.images.name, options, seed))

    def name(self, *, frames: bool) -> str:
        """What was measured on, as images or as T frames."""
        return f"{self.images.name}, as T frames" if frames else self.images.name

    def notes_of(self, graph: Graph) -> dict[str, Any]:
        """The notes to save with a network of this graph that was calibrated on this data."""
        notes: dict[str, Any] = {PREPARATION: asdict(self.preparation)}
        if answers_classes(graph, self.images):
            notes[CLASSES] = list(self.images.classes)
        return notes

    def typed(self, images: Dataset[tuple[Tensor, int]]) -> Dataset[tuple[Tensor, int]]:
        """Images in the dtype that is asked for."""
        return images if self.dtype is torch.float32 else InDtype(images, self.dtype)


def open_data(
    options: DataOptions,
    known: Preparation,
    *,
    dtype: torch.dtype = torch.float32,
    never_seen: NeverSeen | None = None,
) -> OpenData:
    """Open the data set of --data.

    Args:
        options: which, and how it is prepared.
        known: the preparation where the options name none.
        dtype: of the images that are given.
        never_seen: what the validation split has to be of; None leaves it as the data set has it.

    Raises:
        WrongUsage: when it does not exist, or its options do not fit it.
        RecipeError: when it has no such validation split; see `with_unseen_validation`.
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
        if never_seen is not None:
            images = with_unseen_validation(images, options.data, never_seen)
    return OpenData(images, preparation, options.batch_size, skipped, dtype)


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
