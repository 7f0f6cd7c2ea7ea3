"""An ideal event camera: from the brightness of pixels over time to events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import DataError

_ROUNDING = 1e-9
"""Part of a threshold by which a change may fall short of it: what floating point loses."""


@dataclass(frozen=True, eq=False)
class PixelEvents:
    """N events of P pixels, in order of time.

    Attributes:
        t: int64 [N], microseconds.
        pixel: int64 [N], 0 .. P - 1.
        on: bool [N], True where the pixel became brighter.
    """

    t: NDArray[np.int64]
    pixel: NDArray[np.int64]
    on: NDArray[np.bool_]


def events_of(
    brightness: NDArray[np.float64],
    times: NDArray[np.float64],
    threshold: float | NDArray[np.float64],
) -> PixelEvents:
    """Emit an event whenever a pixel has changed by its threshold since its last event.

    A pixel remembers a level, at first its first brightness. Between samples its brightness `L`
    moves along a straight line; each time it has come a threshold `C` away from the level,

        |L(t) - level| = C,    level <- level + C * sign(L(t) - level),

    there is an event at that time, rounded down to a microsecond. A sample may bring several.
    The camera has no noise, no leak and no dead time.

    Args:
        brightness: log intensity [K, P] of P pixels at K times, finite.
        times: microseconds [K], rising.
        threshold: above 0, in units of `brightness`; one for all, or one for each pixel [P].

    Returns:
        The events; those of equal time are in order of sample, then of pixel.

    Raises:
        DataError: if shapes do not fit, brightness is not finite, times do not rise, or a
            threshold is not above 0.

    Example:
        >>> events = events_of(np.array([[0.0], [0.5]]), np.array([0.0, 100.0]), threshold=0.25)
        >>> events.t.tolist(), events.on.tolist()
        ([50, 100], [True, True])
    """
    _check(brightness, times, threshold)
    value = (brightness - brightness[0]) / threshold  # [K, P], in thresholds; levels are integers
    count = np.zeros((len(times) - 1, brightness.shape[1]), np.int32)  # signed, by interval
    level = np.zeros_like(count)  # at the beginning of each interval
    reached = np.zeros(brightness.shape[1], np.int32)
    for k in range(len(count)):
        level[k] = reached
        distance = value[k + 1] - reached
        count[k] = distance + np.copysign(_ROUNDING, distance)  # towards zero: whole thresholds
        reached = reached + count[k]
    interval, pixel = np.nonzero(count)
    many = np.abs(count[interval, pixel])
    each = np.repeat(np.arange(len(many)), many)  # [N], its row in `many`
    nth = np.arange(len(each)) - np.repeat(np.cumsum(many) - many, many) + 1  # 1 .. many
    interval, pixel = interval[each], pixel[each]
    on = count[interval, pixel] > 0
    crossed = level[interval, pixel] + np.where(on, nth, -nth)
    before, after = value[interval, pixel], value[interval + 1, pixel]
    part = np.clip((crossed - before) / (after - before), 0, 1)
    t = np.floor(times[interval] + part * (times[interval + 1] - times[interval])).astype(np.int64)
    order = np.argsort(t, kind="stable")
    return PixelEvents(t[order], pixel[order], on[order])


def _check(
    brightness: NDArray[np.float64],
    times: NDArray[np.float64],
    threshold: float | NDArray[np.float64],
) -> None:
    if brightness.ndim != 2 or times.shape != brightness.shape[:1] or not len(times):
        raise DataError(
            f"events_of: brightness {list(brightness.shape)} with times {list(times.shape)}; "
            "give [K, P] and [K], K at least 1"
        )
    if not np.isfinite(brightness).all():
        raise DataError("events_of: brightness is not finite everywhere; log(0) is not")
    if not (np.diff(times) > 0).all():
        raise DataError("events_of: times do not rise; give each sample a later one")
    if np.shape(threshold) not in {(), brightness.shape[1:]} or not np.all(
        np.asarray(threshold) > 0
    ):
        raise DataError(
            f"events_of: the threshold must be above 0, one for all or one for each of the "
            f"{brightness.shape[1]} pixels"
        )
