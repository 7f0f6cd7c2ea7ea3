"""Which ratios of a run moved against those of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.contenders import REFERENCE
from benchmarks.ratios import memory_ratio, ran, speed_ratio
from benchmarks.record import Record

MEMORY_TOLERANCE = 0.05
"""Peak memory has no rounds; its ratio moved when it changed by more than this share."""


def compare(old: Record, new: Record) -> str:
    """Say what moved, one line each.

    A speed ratio moved when the quartile ranges of its per-round values do not meet. Seconds of
    two runs are never compared: machines differ, and so do minutes of one machine.
    """
    lines = [f"{new['workload']} on {new['device']}, ratios to {REFERENCE}, old -> new:"]
    lines += [f"  not the same {each}" for each in _differences(old, new)]
    moved = [*_speeds(old, new), *_memories(old, new), *_presence(old, new)]
    lines += [f"  {each}" for each in moved] or ["  nothing moved by more than its spread"]
    return "\n".join(lines)


def _differences(old: Record, new: Record) -> Iterator[str]:
    for part in ("workload", "device"):
        if old[part] != new[part]:
            yield f"{part}: {old[part]} -> {new[part]}"
    for part in ("config", "machine", "versions"):
        for key in sorted(old[part].keys() | new[part].keys()):
            before, after = old[part].get(key), new[part].get(key)
            if before != after and key != "contenders":
                yield f"{key}: {before} -> {after}"


def _both(old: Record, new: Record) -> list[str]:
    return [name for name in ran(new) if name in ran(old) and name != REFERENCE]


def _speeds(old: Record, new: Record) -> Iterator[str]:
    for name in _both(old, new):
        before = speed_ratio(old, name, REFERENCE)
        after = speed_ratio(new, name, REFERENCE)
        if before is not None and after is not None and after.apart_from(before):
            word = "faster" if after.median > before.median else "slower"
            yield f"{word}: {name}, {before.median:.3g} -> {after.median:.3g}"


def _memories(old: Record, new: Record) -> Iterator[str]:
    for name in _both(old, new):
        before, after = (memory_ratio(each, name, REFERENCE) for each in (old, new))
        if before and after is not None and abs(after / before - 1) > MEMORY_TOLERANCE:
            word = "more" if after > before else "less"
            yield f"{word} memory: {name}, {before:.3g} -> {after:.3g}"


def _presence(old: Record, new: Record) -> Iterator[str]:
    reasons: dict[str, Any] = {each["name"]: each.get("reason") for each in new["contenders"]}
    for name in ran(old):
        if name not in ran(new):
            yield f"no longer runs: {name} ({reasons.get(name) or 'not asked for'})"
    for name in ran(new):
        if name not in ran(old):
            yield f"now runs: {name}"
