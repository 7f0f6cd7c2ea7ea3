"""Medians, spreads and ratios of a record: the one place where they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from benchmarks.record import Record


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles around it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(low, median(values), high)

    def apart_from(self, other: Spread) -> bool:
        """Whether the quartile ranges do not meet."""
        return self.high < other.low or other.high < self.low


def ran(record: Record) -> dict[str, dict[str, Any]]:
    """The contenders that ran, by name."""
    return {each["name"]: each for each in record["contenders"] if "reason" not in each}


def images_per_second(record: Record, contender: dict[str, Any]) -> Spread:
    """Throughput over the rounds."""
    batch = record["config"]["batch"]
    return Spread.of([batch / seconds for seconds in contender["round_seconds"]])


def speed_ratio(record: Record, name: str, reference: str) -> Spread | None:
    """How many times the throughput of another contender, round by round; None if one did not run.

    ratio_r = seconds_r(reference) / seconds_r(contender)
    """
    found = ran(record)
    if name not in found or reference not in found:
        return None
    pairs = zip(found[reference]["round_seconds"], found[name]["round_seconds"], strict=True)
    return Spread.of([theirs / own for theirs, own in pairs])


def memory_ratio(record: Record, name: str, reference: str) -> float | None:
    """Peak memory over that of another contender; None if either was not measured."""
    found = ran(record)
    own, theirs = (found.get(each, {}).get("peak_bytes") for each in (name, reference))
    return own / theirs if own is not None and theirs else None
