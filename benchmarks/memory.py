"""Peak memory, measured in a process of its own.

What `peak_bytes` of a contender is: the most that the process held while the contender answered
batches, less what it held after set-up and a first call (weights, compiled code, libraries and
images), freed memory having been given back to the system in between. That is what a forward pass
takes: activations and scratch.

On a processor it is resident memory: the high-water mark that Linux keeps (VmHWM, the number that
`resource.getrusage` calls ru_maxrss), set back before the batches. Without that, conversion and
compilation would stand above any forward pass, and a child would start with the ru_maxrss of its
parent. On a GPU it is torch's own count of allocated memory.

What `peak_bytes` of conversion is: the same during `spikewright.convert` at one T, less what the
process held before, model and calibration images included.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import spikewright as sw
from benchmarks.contenders import selected
from benchmarks.measure import Lane, guarded, timed, warm_up, without_paths
from benchmarks.settings import Settings
from benchmarks.workloads import Subject, open_subject

CONVERSION = "conversion"
"""Asked for in place of a contender."""

_BATCHES = 2


def in_own_process(settings: Settings, name: str) -> dict[str, Any]:
    """Peak memory of one contender, or the cost of conversion.

    Args:
        settings: of the run.
        name: of a contender, or `CONVERSION`.

    Returns:
        `peak_bytes` (and `seconds` for a conversion), or the `reason` why there is none.
    """
    root = Path(__file__).parents[1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "benchmarks", "alone", name, settings.to_json()]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    if done.returncode < 0:
        return {"reason": f"its process was ended by signal {-done.returncode}: out of memory?"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return {"reason": without_paths(last[0])}
    return json.loads(done.stdout.splitlines()[-1])


def alone(settings: Settings, name: str) -> dict[str, Any]:
    """What the process of its own does."""
    torch.set_num_threads(settings.threads)
    subject = open_subject(settings)
    if name == CONVERSION:
        return _conversion(subject)
    (contender,) = [each for each in selected([name]) if each.name == name]
    lane = Lane(contender)
    guarded(lane, lambda: warm_up(lane, subject))
    found: dict[str, Any] = {}

    def answer() -> None:
        for batch in subject.batches[:_BATCHES]:
            contender.run(batch)

    guarded(lane, lambda: found.update(peak_bytes=peak_of(answer, subject.device)))
    return found if lane.reason is None else {"reason": lane.reason}


def _conversion(subject: Subject) -> dict[str, Any]:
    """Seconds and peak memory of the default conversion, in a fresh process."""
    seconds: list[float] = []

    def convert() -> None:
        job = lambda: sw.convert(subject.model, subject.calibration)  # noqa: E731
        seconds.append(timed(job, subject.device))

    peak = peak_of(convert, subject.device)
    images = sum(len(batch) for batch in subject.calibration)
    return {"seconds": seconds[0], "peak_bytes": peak, "images": images}


def peak_of(job: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that a job takes at its peak above what was held before; None where unknown."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        job()
        return torch.cuda.max_memory_allocated(device) - before
    if not sys.platform.startswith("linux"):
        job()
        return None
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM becomes VmRSS
    before = _high_water_bytes()
    job()
    return _high_water_bytes() - before


def _high_water_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
