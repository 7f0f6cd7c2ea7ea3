"""CIFAR10-DVS, and simulated recordings in its layout, as frames [T, 2, H, W] in three splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.events.aedat import read_aedat
from spikewright.data.events.frames import Framing, integrate
from spikewright.data.events.recordings import (
    SIMULATED_MARK,
    Division,
    Recording,
    count_simulated,
    find_recordings,
    split_recordings,
)
from spikewright.data.image_data import ImageData
from spikewright.data.preprocessing import Normalisation
from spikewright.errors import DataError
from spikewright.files import AnyPath


@dataclass(frozen=True, eq=False)
class EventDataset(Dataset[tuple[Tensor, int]]):
    """Recordings as (float32 counts [T, 2, H, W], int label); batch it with `collate_frames`.

    Channel 0 counts OFF events, channel 1 ON events. With `scale` and `normalise` a frame is
    `normalise(scale * counts)`.

    Attributes:
        recordings: the recordings, in order.
        framing: the way from recordings to frames.
        sort: see `read_aedat`.
        scale: multiplies counts.
        normalise: applied to every frame last.

    Raises:
        DataError: by `dataset[i]`, if the file is damaged; see `read_aedat`.
    """

    recordings: tuple[Recording, ...]
    framing: Framing
    sort: bool = False
    scale: float = 1.0
    normalise: Normalisation | None = None

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        recording = self.recordings[index]
        frames = integrate(read_aedat(recording.path, sort=self.sort), self.framing)
        if self.scale != 1:
            frames = frames * self.scale
        return (frames if self.normalise is None else self.normalise(frames)), recording.label

    def stored(self, index: int) -> tuple[bytes, int]:
        """The bytes of a recording's file, and its label.

        Raises:
            DataError: if the file cannot be opened.
        """
        recording = self.recordings[index]
        try:
            return recording.path.read_bytes(), recording.label
        except OSError as error:
            raise DataError(f"'{recording.path}' cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class EventData:
    """Labelled recordings in three splits that share none.

    Attributes:
        name: `"cifar10dvs"`, or `"cifar10dvs-simulated"`.
        train: the recordings that weights and thresholds may be fitted to.
        validation: those that training choices may be made on.
        test: those that the final figures come from, and nothing else.
        classes: the class names; label `i` is `classes[i]`.
        framing: the way from recordings to frames.
        simulated: whether any recording was simulated rather than taken by a camera.
        description: one sentence for tables and reports; says SIMULATED if it is.
        event_value: what one event adds to a frame, before frames are normalised.
    """

    name: str
    train: EventDataset
    validation: EventDataset
    test: EventDataset
    classes: tuple[str, ...]
    framing: Framing
    simulated: bool
    description: str
    event_value: float = 1.0

    @property
    def frames_shape(self) -> tuple[int, int, int, int]:
        """(T, 2, H, W) of every sample."""
        return self.framing.frames, 2, self.framing.size, self.framing.size

    def mean_images(self, normalise: Normalisation | None = None) -> EventImages:
        """View every recording as one image [2, H, W], the mean of its T frames.

        It is what a source network is trained on and what a two-phase first layer sees of the
        frames, whose charge is their sum.
        """
        return EventImages(
            self.name,
            _MeanImages(self.train, normalise),
            _MeanImages(self.validation, normalise),
            _MeanImages(self.test, normalise),
            self.classes,
            self.frames_shape[1:],
            bounded=False,
            events=self,
            normalise=normalise,
        )

    def in_frames(self, steps: int, normalise: Normalisation | None = None) -> EventData:
        """The same recordings in another number of frames with the same mean: for T = `steps`.

        A recording of N events makes frames of N / T events each, so fewer frames are brighter.
        A network trained on mean images of F frames is shown frames times T / F: whatever T, their
        mean is that image, and the frames add only when its parts arrive.

        Args:
            steps: T, at least 1.
            normalise: applied to every frame, as `mean_images` applies it to their mean.
        """
        framing = replace(self.framing, frames=steps)
        scale = steps / self.framing.frames

        def shown(part: EventDataset) -> EventDataset:
            return replace(
                part,
                framing=framing,
                scale=part.scale * scale,
                normalise=normalise or part.normalise,
            )

        return replace(
            self,
            train=shown(self.train),
            validation=shown(self.validation),
            test=shown(self.test),
            framing=framing,
            event_value=self.event_value * scale,
        )


@dataclass(frozen=True, kw_only=True)
class EventImages(ImageData):
    """Recordings as mean images, which can be shown frame by frame as well.

    Attributes:
        events: the recordings.
        normalise: the normalisation of the images.
    """

    events: EventData
    normalise: Normalisation | None = None

    def in_frames(self, steps: int) -> EventData:
        """The recordings as T = `steps` frames whose mean is the image."""
        return self.events.in_frames(steps, self.normalise)


class _MeanImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, dataset: EventDataset, normalise: Normalisation | None) -> None:
        self._dataset = dataset
        self._normalise = normalise

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        frames, label = self._dataset[index]
        image = frames.mean(0)  # [T, 2, H, W] -> [2, H, W]
        return (image if self._normalise is None else self._normalise(image)), label

    def stored(self, index: int) -> tuple[bytes, int]:
        """See `EventDataset.stored`."""
        return self._dataset.stored(index)


def open_event_data(
    folder: AnyPath,
    framing: Framing | None = None,
    *,
    division: Division = Division.FIRST,
    seed: int | None = None,
    sort: bool = False,
) -> EventData:
    """Open recordings in the layout of CIFAR10-DVS: `DIR/airplane/cifar10_airplane_0.aedat`.

    Of each class the last tenth by number is for testing (of 1,000 recordings, 900 to 999), and
    a tenth of the rest, by a fixed permutation, for validation. Nothing is downloaded.

    Args:
        folder: one folder of `.aedat` files a class.
        framing: the way from recordings to frames; by default 10 frames of 128 x 128, by number.
        division: which tenth is for testing.
        seed: the seed of `division="random"`.
        sort: bring events whose times fall into order instead of refusing the file.

    Raises:
        DataError: if a folder or file is missing, a class has fewer than 3 recordings, or
            `division` and `seed` do not fit; see also `find_recordings`.
    """
    used, folder = framing or Framing(), Path(folder)
    classes, recordings = find_recordings(folder)
    splits = split_recordings(recordings, division, seed)
    simulated = count_simulated(folder, recordings)

    def dataset(part: tuple[Recording, ...]) -> EventDataset:
        return EventDataset(part, used, sort)

    return EventData(
        name="cifar10dvs-simulated" if simulated else "cifar10dvs",
        train=dataset(splits.train),
        validation=dataset(splits.validation),
        test=dataset(splits.test),
        classes=classes,
        framing=used,
        simulated=simulated > 0,
        description=_description(len(recordings), len(classes), simulated, used),
    )


def _description(recordings: int, classes: int, simulated: int, framing: Framing) -> str:
    t, side = framing.frames, framing.size
    description = (
        f"{recordings:,} event recordings of {classes} classes as {t} frames by "
        f"{framing.split_by}, 2 x {side} x {side}"
    )
    if not simulated:
        return f"CIFAR10-DVS layout: {description}"
    which = "all" if simulated == recordings else f"{simulated:,}"
    return f"{SIMULATED_MARK} events, not a camera's ({which} of them): {description}"
