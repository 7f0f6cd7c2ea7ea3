"""Settings of one run, checked when made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self


class BenchmarkError(Exception):
    """A run that was asked for cannot be made."""


@dataclass(frozen=True)
class Settings:
    """What one run measures, and how.

    Attributes:
        workload: its name.
        device: as torch names it.
        batch: images a batch.
        images: images that accuracy is measured on, a multiple of `batch`.
        rounds: measured batches of every contender.
        calibration_images: images that thresholds are fitted to.
        calibration_batch: images of a calibration batch. Peers update running statistics batch by
            batch, so it is theirs to lose: smaller batches give them more updates.
        threads: of torch's operations.
        seed: of random weights, images, the choice of images, and the neurons' draws.
        contenders: shell patterns of names.
        weights: a safetensors file; random weights when None.
        data: a folder with train/ and test/, one folder a class; random images when None.
        dataset: what the folder is called in the results.
        memory: whether peak memory is measured, for which every contender is set up once more.
        seconds: after three quarters of them nobody else is set up, and after all of them no
            further round begins; None for as long as it takes.
    """

    workload: str
    threads: int
    device: str = "cpu"
    batch: int = 250
    images: int = 2000
    rounds: int = 8
    calibration_images: int = 512
    calibration_batch: int = 32
    seed: int = 0
    contenders: tuple[str, ...] = ("*",)
    weights: Path | None = None
    data: Path | None = None
    dataset: str | None = None
    memory: bool = True
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "images", "rounds", "calibration_images", "threads"):
            if getattr(self, name) < 1:
                raise BenchmarkError(f"{name}={getattr(self, name)}: give at least 1")
        if self.seconds is not None and not self.seconds > 0:
            raise BenchmarkError(f"seconds={self.seconds:g}: give more than 0")
        if self.images % self.batch:
            raise BenchmarkError(
                f"images={self.images} is no multiple of batch={self.batch}: every batch must have "
                "one size, or times of batches could not be compared"
            )
        if self.data is not None and self.dataset is None:
            raise BenchmarkError(
                f"'{self.workload}' is measured on random images; leave out --data"
            )

    def recorded(self) -> dict[str, Any]:
        """What a result file says of the settings: names of files and data sets, no folders."""
        kept = asdict(self)
        for place in ("workload", "device", "data", "dataset", "memory"):
            del kept[place]
        kept["contenders"] = list(self.contenders)
        kept["weights"] = self.weights.name if self.weights else "random"
        kept["data"] = self.dataset if self.data else "random"
        return kept

    def to_json(self) -> str:
        """All of it, for a process of one's own on the same machine."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        found = json.loads(text)
        found["contenders"] = tuple(found["contenders"])
        for name in ("weights", "data"):
            found[name] = Path(found[name]) if found[name] else None
        return cls(**{each.name: found[each.name] for each in fields(cls)})
