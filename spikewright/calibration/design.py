"""What calibration decides for one T: thresholds and corrections of every site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

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
        weights: by stored name, what stands in place of the model's weights and biases; empty
            where they are kept.
        held_out: where thresholds and a correction were chosen among several, by samples held out,
            what each strategy left unexplained and the error of each correction, by name, float64
            `[]`; the least was taken. `+` stands before corrections.
        expected: the figures of `Expected` of what was taken, by name, float64 `[]`.
    """

    thresholds: Mapping[str, Tensor]
    corrections: Mapping[str, Tensor] = field(default_factory=dict)
    potentials: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    held_out: Mapping[str, Tensor] = field(default_factory=dict)
    expected: Mapping[str, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, by names of their part and site."""
        return {
            f"{part.name}:{site}": tensor
            for part in fields(self)
            for site, tensor in getattr(self, part.name).items()
        }

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Design:
        """The design whose `tensors()` these are."""
        parts: dict[str, dict[str, Tensor]] = {part.name: {} for part in fields(cls)}
        for name, tensor in tensors.items():
            part, _, site = name.partition(":")
            parts[part][site] = tensor
        return cls(**parts)
