"""Records of measurements beside the pages, `docs/results/NAME.json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from spikewright.decoding import decoded, parsed
from spikewright.files import write_whole
from spikewright.version import __version__

Kind = TypeVar("Kind")


def versions() -> dict[str, str]:
    """Of this library and torch."""
    return {"spikewright": __version__, "torch": str(torch.__version__).partition("+")[0]}


def write(path: Path, record: Any) -> Path:
    """Write a record, a dataclass, whole; returns its file."""
    write_whole(path, (json.dumps(asdict(record), indent=1) + "\n").encode())
    return path


def read(path: Path, kind: type[Kind]) -> Kind:
    """A record.

    Raises:
        RunError: for one of something else.
    """
    return decoded(kind, parsed(path.read_bytes(), f"'{path}'"), f"'{path}'")
