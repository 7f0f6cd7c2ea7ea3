"""The events of one recording: as an event camera of 128 x 128 pixels sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import DataError

SENSOR_SIDE = 128
"""Pixels along each side of the DVS128."""

_DTYPES = {"t": np.int64, "x": np.uint8, "y": np.uint8, "on": np.bool_}


@dataclass(frozen=True, eq=False)
class Events:
    """N events in order of time; event i is `(t[i], x[i], y[i], on[i])`.

    Attributes:
        t: int64 [N], microseconds, never falling.
        x: uint8 [N], column, 0 .. 127 from left to right.
        y: uint8 [N], row, 0 .. 127 from top to bottom.
        on: bool [N], True where the pixel became brighter (ON), False where darker (OFF).

    Raises:
        DataError: when made of arrays of another type, shape or range, or of times that fall.

    Example:
        >>> len(Events(np.array([0, 5]), *np.zeros((2, 2), np.uint8), np.array([True, False])))
        2
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    on: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            values: NDArray[np.generic] = getattr(self, name)
            if values.dtype != dtype or values.shape != (len(self.t),):
                raise DataError(
                    f"Events: {name} is {values.dtype} {list(values.shape)}; "
                    f"give {np.dtype(dtype)} [{len(self.t)}], one value an event"
                )
        self._check_places()
        self._check_times()

    def __len__(self) -> int:
        return len(self.t)

    def _check_places(self) -> None:
        for name in ("x", "y"):
            outside = np.flatnonzero(getattr(self, name) >= SENSOR_SIDE)
            if outside.size:
                raise DataError(
                    f"Events: {name}[{outside[0]}] = {getattr(self, name)[outside[0]]}; "
                    f"give 0 to {SENSOR_SIDE - 1}"
                )

    def _check_times(self) -> None:
        back = np.flatnonzero(self.t[1:] < self.t[:-1])
        if back.size:
            i = int(back[0]) + 1
            raise DataError(
                f"Events: t[{i}] = {self.t[i]} comes after t[{i - 1}] = {self.t[i - 1]}; "
                "give the events in order of time"
            )
