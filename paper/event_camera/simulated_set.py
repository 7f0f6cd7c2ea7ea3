"""Makes a data set of simulated recordings from pictures, in the layout of CIFAR10-DVS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from paper.event_camera.simulator import BRIGHTEST, Simulation, simulate
from spikewright.data.events.aedat import write_aedat
from spikewright.data.events.recordings import CARD_NAME, SIMULATED_MARK
from spikewright.data.events.stream import Events
from spikewright.data.image_data import ImageData, dataset_length, permutation
from spikewright.errors import DataError
from spikewright.files import appearing_whole, write_json
from spikewright.version import __version__

PUBLISHED_EVENTS_PER_RECORDING = 205_071
"""Mean of the 10,000 published recordings, which hold 2,050,719,068 events and last 1.298 s on
average, as a public script of the package `stsc` counts them with jackd/events-tfds."""

Progress = Callable[[int, int | None, str], None]
"""A callback that receives (recordings done, recordings in all, the class of the last one)."""


def write_simulated_set(
    data: ImageData,
    folder: Path,
    per_class: int,
    simulation: Simulation | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Simulate recordings of training pictures and write them with a card.

    The folder appears when all is done, or not at all: `CLASS/NAME_CLASS_0.aedat` and on, NAME
    being that of the data, and `dataset-card.json`. The card and the header of every recording
    say SIMULATED.

    Args:
        data: pictures of 1 or 3 channels in 0 .. 1, that is, opened without mean and std.
        folder: must not exist, or be empty.
        per_class: recordings a class, at least 1; the pictures are drawn from the training split.
        simulation: how they are moved and seen; by default as `Simulation()`.
        seed: of the draw of pictures, and of the camera's pixels (the same in all recordings).
        progress: called after every recording.

    Returns:
        The card: what, of what, how, and the mean number of events.

    Raises:
        DataError: if the folder is not empty or cannot be written, a class has too few pictures,
            or a picture is out of range, or so even that it brings no event.
    """
    used = simulation or Simulation()
    _check_request(folder, per_class)
    total = per_class * len(data.classes)
    events = bright = done = 0
    with _appearing_whole(folder) as partial:
        for index, label, number, picture in _drawn(data, per_class, seed):
            recorded = simulate(picture, used, seed)
            name = data.classes[label]
            path = partial / name / f"{data.name}_{name}_{number}.aedat"
            path.parent.mkdir(exist_ok=True)
            _write(path, recorded, f"training picture {index} of {data.name}, seed {seed}")
            events, bright, done = events + len(recorded), bright + int(recorded.on.sum()), done + 1
            if progress is not None:
                progress(done, total, name)
        card = _card(data, per_class, used, seed)
        card["mean_events_per_recording"] = events / total
        card["mean_events_of_cifar10_dvs"] = PUBLISHED_EVENTS_PER_RECORDING
        card["share_of_on_events"] = bright / events
        write_json(partial / CARD_NAME, card)
    return card


def _write(path: Path, recorded: Events, source: str) -> None:
    if not len(recorded):
        raise DataError(
            f"{source} is so even that it brings no event; lower the threshold, or take it out"
        )
    mark = f"{SIMULATED_MARK} by spikewright {__version__}: no camera recorded this"
    write_aedat(path, recorded, (mark, f"source: {source}"))


def _card(data: ImageData, per_class: int, simulation: Simulation, seed: int) -> dict[str, Any]:
    return {
        "simulated": True,
        "description": f"{SIMULATED_MARK} event recordings of moving pictures in the layout of "
        "CIFAR10-DVS; no camera recorded them, and results on them are not results on CIFAR10-DVS",
        "source": {"data": data.name, "split": "train", "per_class": per_class},
        "seed": seed,
        "simulation": asdict(simulation),
        "classes": list(data.classes),
        "recordings": per_class * len(data.classes),
        "spikewright": __version__,
    }


def _drawn(
    data: ImageData, per_class: int, seed: int
) -> Generator[tuple[int, int, int, NDArray[np.uint8]]]:
    """Draw pictures until each class has enough: (index, label, number in class, picture)."""
    drawn: Counter[int] = Counter()
    missing = len(data.classes)
    for index in permutation(dataset_length(data.train), seed):
        image, label = data.train[index]
        if drawn[label] < per_class:
            yield index, label, drawn[label], _as_bytes(image, data.name)
            drawn[label] += 1
            missing -= drawn[label] == per_class
            if not missing:
                return
    short = min(range(len(data.classes)), key=lambda label: drawn[label])
    raise DataError(
        f"{per_class} recordings a class were asked for, but the training split of '{data.name}' "
        f"holds {drawn[short]} pictures of '{data.classes[short]}'; ask for fewer"
    )


def _as_bytes(image: Tensor, name: str) -> NDArray[np.uint8]:
    if image.min() < 0 or image.max() > 1:
        raise DataError(
            f"the pictures of '{name}' are not in 0 .. 1; open them without mean and std"
        )
    return (image.numpy() * BRIGHTEST).round().astype(np.uint8)


def _check_request(folder: Path, per_class: int) -> None:
    if per_class < 1:
        raise DataError(f"per_class={per_class}; ask for at least 1 recording a class")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"'{folder}' is there already; give a new or an empty folder")


@contextmanager
def _appearing_whole(folder: Path) -> Generator[Path]:
    try:
        with appearing_whole(folder) as partial:
            yield partial
    except OSError as error:
        raise DataError(f"'{folder}' cannot be written: {error.strerror}") from error
