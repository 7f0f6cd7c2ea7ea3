"""One workload from settings to record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from benchmarks import memory
from benchmarks.contenders import selected
from benchmarks.measure import Lane, Tell, measure
from benchmarks.record import FORMAT, Record, machine, versions
from benchmarks.settings import BenchmarkError, Settings
from benchmarks.workloads import open_subject
from spikewright.methods import AUTO
from spikewright.training.threads import intra_op_threads


def run(settings: Settings, tell: Tell) -> Record:
    """Measure memory alone, contender by contender, then speed and accuracy side by side.

    A contender whose own process fails or is ended for want of memory does not enter the rounds.

    Raises:
        BenchmarkError: where the machine has no such device.
    """
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise BenchmarkError(
            f"device '{settings.device}': torch finds no CUDA GPU on this machine; "
            "give --device cpu"
        )
    lanes = [Lane(contender) for contender in selected(settings.contenders)]
    peaks: dict[str, int | None] = {}
    conversion = {}
    if settings.memory:
        tell("conversion, in a process of its own")
        conversion = memory.in_own_process(settings, memory.CONVERSION)
        for lane in lanes:
            name = lane.contender.name
            tell(f"memory, in a process of its own: {name}")
            found = memory.in_own_process(settings, name)
            lane.reason, peaks[name] = found.get("reason"), found.get("peak_bytes")
    with intra_op_threads(settings.threads), torch.no_grad():
        measured = measure(lanes, open_subject(settings), settings.rounds, tell, settings.seconds)
    for each in measured:
        if "reason" not in each:
            each["peak_bytes"] = peaks.get(each["name"])
    return {
        "format": FORMAT,
        "workload": settings.workload,
        "device": settings.device,
        "config": {**settings.recorded(), "rounds": _rounds(measured)},
        "machine": machine(),
        "versions": versions(),
        "conversion": conversion,
        "calibration": AUTO.name,
        "contenders": measured,
    }


def _rounds(measured: Sequence[dict[str, Any]]) -> int:
    """Rounds that there was time for."""
    return max(len(each.get("round_seconds", ())) for each in measured)
