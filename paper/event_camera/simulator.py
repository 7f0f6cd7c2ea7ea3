"""Simulates the recording of a picture that moves before an event camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from paper.event_camera.camera import events_of
from spikewright.data.events.stream import SENSOR_SIDE, Events
from spikewright.errors import DataError

BRIGHTEST = 255
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue: ITU-R BT.601."""

LEAST_THRESHOLD = 0.001
MOST_LOOPS = 100
"""The most loops, more than any recording needs; the brightness of each takes 5 MB."""

CORNERS = ((0, 0), (1, -1), (2, 0), (1, 1), (0, 0))
"""The corners of one loop of four diagonals, as (column, row) in units of the amplitude."""


@dataclass(frozen=True)
class Simulation:
    """How a picture is moved and seen.

    CIFAR10-DVS was made by a repeated closed-loop smooth (RCLS) movement of pictures on a screen
    before a DVS128 (Li, Liu, Ji, Li & Shi, "CIFAR10-DVS: An Event-Stream Dataset for Object
    Classification", Frontiers in Neuroscience 11:309, 2017): CIFAR-10 pictures, enlarged to
    512 x 512 screen pixels. The loop of four diagonals, six times, 10 screen pixels and 50 ms a
    diagonal, are the figures with which others have rebuilt the movement; on a 128-pixel view
    of the picture 10 screen pixels are 2.5 camera pixels.

    The real recordings show what this camera does not: noise, dead time, the screen's refresh at
    60 Hz and its own brightness curve. What it makes is simulated data, not CIFAR10-DVS.

    Attributes:
        threshold: change of log intensity that makes an event, at least 0.001. With 0.14,
            pictures of CIFAR-10 bring about as many events as the published recordings have,
            205,071 each.
        mismatch: standard deviation of the logarithm of the pixels' thresholds, drawn from the
            seed, at most 1; 0 gives all pixels one threshold.
        amplitude: columns and rows that a diagonal spans, in camera pixels, above 0.
        loops: times the closed path is run through, 1 to 100: all of a recording is in memory.
        diagonal_us: duration of each of its four diagonals in microseconds, at least 1 a step.
        steps: positions along each diagonal, at least 1; in between brightness is linear.
        black_level: added to luma 0 .. 255 before the logarithm, above 0.

    Raises:
        DataError: when made of other values.
    """

    threshold: float = 0.14
    mismatch: float = 0.0
    amplitude: float = 2.5
    loops: int = 6
    diagonal_us: int = 50_000
    steps: int = 10
    black_level: float = 20.0

    def __post_init__(self) -> None:
        if not LEAST_THRESHOLD <= self.threshold < math.inf:
            raise DataError(
                f"Simulation: threshold={self.threshold}; give a number from {LEAST_THRESHOLD} on "
                "(real cameras: 0.1 to 0.5), lest there be too many events to hold"
            )
        for name in ("amplitude", "black_level"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise DataError(f"Simulation: {name}={getattr(self, name)}; give a number above 0")
        if not 0 <= self.mismatch <= 1:
            raise DataError(f"Simulation: mismatch={self.mismatch}; give a number from 0 to 1")
        if not 1 <= self.loops <= MOST_LOOPS:
            raise DataError(f"Simulation: loops={self.loops}; give 1 to {MOST_LOOPS}")
        if self.steps < 1:
            raise DataError(f"Simulation: steps={self.steps}; give at least 1")
        if self.diagonal_us < self.steps:
            raise DataError(
                f"Simulation: diagonal_us={self.diagonal_us}, steps={self.steps}; "
                "a step lasts at least 1 microsecond"
            )
        if self.duration_us > np.iinfo(np.int32).max:
            raise DataError(
                f"Simulation: {self.duration_us} microseconds in all; the file format holds "
                f"{np.iinfo(np.int32).max}: lower loops or diagonal_us"
            )

    @property
    def duration_us(self) -> int:
        """Length of a recording in microseconds."""
        return self.loops * (len(CORNERS) - 1) * self.diagonal_us


def simulate(picture: NDArray[np.uint8], simulation: Simulation, seed: int) -> Events:
    """Record a picture.

    It is enlarged to 128 x 128 (bicubic), continued outwards by its border pixels, moved along
    the path by bilinear interpolation, and seen by `events_of` as `ln(luma + black_level)`.

    Args:
        picture: grey [H, W] or [1, H, W], or red, green and blue [3, H, W]; uint8.
        simulation: how it is moved and seen.
        seed: the seed of the pixels' thresholds; without `mismatch` it changes nothing.

    Returns:
        The events; the same arguments give the same ones. None for an even picture.

    Raises:
        DataError: if `picture` is of another type or shape.
    """
    enlarged = _enlarged(luma(picture))
    loop = _seen_on_the_path(enlarged, simulation)  # [4 * steps, P]; the end is the beginning
    brightness = np.concatenate([np.tile(loop, (simulation.loops, 1)), loop[:1]])
    times = np.linspace(0, simulation.duration_us, len(brightness))
    events = events_of(brightness, times, _thresholds(simulation, seed))
    y, x = np.divmod(events.pixel, SENSOR_SIDE)
    return Events(events.t, x.astype(np.uint8), y.astype(np.uint8), events.on)


def luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Brightness 0 .. 255 of a grey or coloured picture: 0.299 R + 0.587 G + 0.114 B, [H, W].

    Raises:
        DataError: if `picture` is not uint8 [H, W], [1, H, W] or [3, H, W] with pixels in it.
    """
    channels = 1 if picture.ndim == 2 else picture.shape[0]
    fits = picture.ndim in {2, 3} and channels in {1, 3} and picture.size > 0
    if picture.dtype != np.uint8 or not fits:
        raise DataError(
            f"simulate: a picture of {picture.dtype} {list(picture.shape)}; "
            "give uint8 [H, W], [1, H, W] or [3, H, W]"
        )
    planes = picture.reshape(channels, *picture.shape[-2:]).astype(np.float64)
    return planes[0] if channels == 1 else np.tensordot(LUMA, planes, axes=1)


def path(simulation: Simulation) -> NDArray[np.float64]:
    """Positions of the picture along one loop, [4 * steps, 2]: columns and rows moved, in pixels.

    The first is (0, 0); the last is one step before it is reached again.
    """
    corners = np.array(CORNERS, np.float64) * simulation.amplitude
    along = np.arange(simulation.steps)[:, None] / simulation.steps
    return np.concatenate([a + along * (b - a) for a, b in pairwise(corners)])


def _enlarged(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    planes = torch.from_numpy(grey)[None, None]
    size = [SENSOR_SIDE, SENSOR_SIDE]
    larger = functional.interpolate(planes, size=size, mode="bicubic", align_corners=False)
    return larger[0, 0].clamp(0, BRIGHTEST).numpy()


def _seen_on_the_path(view: NDArray[np.float64], simulation: Simulation) -> NDArray[np.float64]:
    """Log intensity of every camera pixel at every position of one loop, [4 * steps, P]."""
    moves = path(simulation)
    margin = math.ceil(float(np.abs(moves).max())) + 1
    wide = np.pad(view + simulation.black_level, margin, mode="edge")
    seen = np.empty((len(moves), SENSOR_SIDE, SENSOR_SIDE))
    for k, (right, down) in enumerate(moves):  # the camera sees what lies as far left and up
        rows = _between(wide, margin - down)
        seen[k] = _between(rows.T, margin - right).T
    return np.log(seen).reshape(len(moves), -1)


def _between(view: NDArray[np.float64], start: float) -> NDArray[np.float64]:
    """128 rows from a start that may lie between two, linearly interpolated."""
    first = math.floor(start)
    part = start - first
    near, far = (view[i : i + SENSOR_SIDE] for i in (first, first + 1))
    return (1 - part) * near + part * far


def _thresholds(simulation: Simulation, seed: int) -> float | NDArray[np.float64]:
    if simulation.mismatch == 0:
        return simulation.threshold
    drawn = np.random.default_rng(seed).standard_normal(SENSOR_SIDE**2)
    return simulation.threshold * np.exp(simulation.mismatch * drawn)
