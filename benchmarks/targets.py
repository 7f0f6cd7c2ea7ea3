"""The targets of the speed work, and what a record says of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median

from benchmarks.contenders import REFERENCE
from benchmarks.ratios import memory_ratio, ran, speed_ratio
from benchmarks.record import Record

GIBIBYTE = 2**30

Measure = Callable[[Record], float | None]
"""A number of a record; None when what it is of was not measured."""


@dataclass(frozen=True)
class Target:
    """A number that a run must show.

    Attributes:
        name: what it is of.
        workload: whose record on the CPU has it.
        bound: the number to reach, or not to pass.
        at_least: whether the bound is a lower one.
        measured: the number of a record; None when what it is of did not run.
        unit: written behind the numbers.
    """

    name: str
    workload: str
    bound: float
    at_least: bool
    measured: Measure
    unit: str = ""

    def met(self, value: float) -> bool:
        """Whether a measured number reaches the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def speed(names: Sequence[str], reference: str, factor: float = 1) -> Measure:
    """The lowest of the contenders' median ratios to a reference, times a factor."""

    def measured(record: Record) -> float | None:
        found = [speed_ratio(record, name, reference) for name in names]
        known = [each.median for each in found if each is not None]
        return factor * min(known) if len(known) == len(names) else None

    return measured


def against_peers(name: str, pattern: str) -> Measure:
    """The ratio to the fastest SpikingJelly contender of the run whose name matches a pattern."""

    def measured(record: Record) -> float | None:
        peers = {n: c for n, c in ran(record).items() if fnmatchcase(n, pattern)}
        if not peers:
            return None
        fastest = min(peers, key=lambda peer: median(peers[peer]["round_seconds"]))
        return speed([name], fastest)(record)

    return measured


def memory(names: Sequence[str]) -> Measure:
    """The highest of the contenders' peak memories, over that of the compiled ANN."""

    def measured(record: Record) -> float | None:
        found = [memory_ratio(record, name, REFERENCE) for name in names]
        known = [each for each in found if each is not None]
        return max(known) if len(known) == len(names) else None

    return measured


def conversion(key: str, images: int, divisor: float = 1) -> Measure:
    """A cost of conversion with so many calibration images."""

    def measured(record: Record) -> float | None:
        cost = record.get("conversion", {})
        if cost.get("images") != images or cost.get(key) is None:
            return None
        return cost[key] / divisor

    return measured


def _counts(label: str) -> list[str]:
    return [f"counts-{label}-{steps}" for steps in (4, 16, 64)]


_PEERS = "SpikingJelly, T = 32, fastest recipe"
_MULTI, _ANY = "spikingjelly-multi-*", "spikingjelly-*"

_OF_RESNET20: tuple[tuple[str, float, Measure], ...] = (
    ("counts, nearest / compiled ANN, lowest of T", 1.0, speed(_counts("nearest"), REFERENCE)),
    ("counts, unbiased / compiled ANN, lowest of T", 0.9, speed(_counts("unbiased"), REFERENCE)),
    ("counts, TPP / compiled ANN, lowest of T", 0.75, speed(_counts("tpp"), REFERENCE)),
    ("counts, T = 64 / T = 4, nearest", 0.95, speed(["counts-nearest-64"], "counts-nearest-4")),
    ("counts, bf16, nearest / compiled ANN", 1.8, speed(["counts-nearest-bf16-16"], REFERENCE)),
    ("counts, int8, nearest / compiled ANN", 3.0, speed(["counts-nearest-int8-16"], REFERENCE)),
    (
        "steps, IF, int8, T = 32 / (compiled ANN / 32)",
        2.0,
        speed(["steps-if-int8-32"], REFERENCE, 32),
    ),
    ("steps, IF, T = 32 / (compiled ANN / 32)", 0.8, speed(["steps-if-32"], REFERENCE, 32)),
    (f"steps, IF, T = 32 / {_PEERS}, multi-step", 2.5, against_peers("steps-if-32", _MULTI)),
    ("the same, in either step mode", 2.5, against_peers("steps-if-32", _ANY)),
    (f"counts, T = 16 / {_PEERS}, multi-step", 60, against_peers("counts-nearest-16", _MULTI)),
    ("the same, in either step mode", 60, against_peers("counts-nearest-16", _ANY)),
)

TARGETS = (
    *(Target(name, "resnet20", bound, True, of) for name, bound, of in _OF_RESNET20),
    Target(
        "counts, peak memory / compiled ANN, highest of all",
        "resnet20",
        1.3,
        False,
        memory([*_counts("nearest"), *_counts("unbiased"), *_counts("tpp")]),
    ),
    Target(
        "convert + calibrate, ResNet-20, 512 images",
        "resnet20",
        15,
        False,
        conversion("seconds", 512),
        " s",
    ),
    Target(
        "convert + calibrate, ResNet-50, 64 images",
        "resnet50-224",
        90,
        False,
        conversion("seconds", 64),
        " s",
    ),
    Target(
        "convert + calibrate, ResNet-50, 64 images, peak memory",
        "resnet50-224",
        6,
        False,
        conversion("peak_bytes", 64, GIBIBYTE),
        " GiB",
    ),
)
