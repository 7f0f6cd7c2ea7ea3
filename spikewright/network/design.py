"""What calibration decides for one T: thresholds and corrections of every site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Design:
    """Thresholds and corrections of a network at one T.

    Attributes:
        thresholds: by site, float64 `[C]`, or `[1]` when the layer shares one; on the CPU.
        corrections: by site, float64 `[C]`, added to the current at every step; empty without bias
            correction.
        potentials: by site, float64 `[*S]`, charge that each neuron holds before the first step;
            empty without calibration of initial potentials.
    """

    thresholds: Mapping[str, Tensor]
    corrections: Mapping[str, Tensor] = field(default_factory=dict)
    potentials: Mapping[str, Tensor] = field(default_factory=dict)
