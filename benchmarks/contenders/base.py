"""What every contender is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.workloads import Subject


class Unavailable(Exception):  # noqa: N818  (it is a state, listed in the results, not a failure)
    """A contender that cannot run here, with the reason."""


@dataclass
class Contender(ABC):
    """One way to answer a batch of images.

    Attributes:
        name: unique; results, ratios and targets go by it.
        steps: T, or None where there is no time.
        what: a line for the page: what runs, by which calls.
    """

    name: str
    steps: int | None
    what: str

    @abstractmethod
    def prepare(self, subject: Subject) -> None:
        """Convert, calibrate, and whatever else comes once, before the first image.

        Raises:
            Unavailable: when it cannot run on this machine or refuses this network.
        """

    @abstractmethod
    def run(self, batch: Tensor) -> Tensor:
        """Logits `[B, classes]` of images `[B, C, H, W]`."""

    def described(self) -> dict[str, Any]:
        """What a result file says of it, before any measurement."""
        return {"name": self.name, "steps": self.steps, "what": self.what}
