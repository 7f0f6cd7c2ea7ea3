"""Result files: what is in one, how it is written and read."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.settings import BenchmarkError
from spikewright.network.kernels import has_matrix_units, integers_are_fast

FORMAT = 1
RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("spikewright", "torch", "torchvision", "spikingjelly", "numpy")

Record = dict[str, Any]
"""One result file: one workload on one device."""


def file_name(workload: str, device: str, label: str = "") -> str:
    """`resnet20-cpu.json`; of a labelled machine `resnet20-cpu-epyc.json`."""
    return "-".join(part for part in (workload, device.replace(":", ""), label) if part) + ".json"


def machine() -> dict[str, Any]:
    """What ran: processor, cores, GPU; no name and no place of the machine."""
    found = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "integers": _integer_units(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def versions() -> dict[str, str | None]:
    """Versions of what was measured and of what it runs on; None where not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    if found["spikewright"] is None:  # run from a checkout that is not installed
        import spikewright

        found["spikewright"] = spikewright.__version__
    return found


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write(record: Record, folder: Path) -> Path:
    """Write a record under its own name."""
    path = folder / file_name(record["workload"], record["device"], record.get("label", ""))
    write_text(path, json.dumps(record, indent=1) + "\n")
    return path


def read(path: Path) -> Record:
    """Read a result file.

    Raises:
        BenchmarkError: when it is missing, or no result file of this format.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"'{path}' is no readable result file: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise BenchmarkError(f"'{path}' is no result file of format {FORMAT}")
    return record


def read_all(folder: Path) -> list[Record]:
    """Every result file of a folder, by name."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def _integer_units() -> str:
    """What the processor sums products of 8-bit integers with: its matrix units, or vectors."""
    if not integers_are_fast(torch.device("cpu")):
        return "none"
    return "AMX" if has_matrix_units() else "AVX-512 VNNI"


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
