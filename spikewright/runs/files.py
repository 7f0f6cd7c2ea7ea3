"""JSON documents and tensors as files that are there as a whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from spikewright.decoding import parsed
from spikewright.errors import RunError
from spikewright.files import write_whole

DOCUMENT = "document"
"""The name of the JSON document in the header of a safetensors file."""


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises:
        RunError: if it is not one.
    """
    try:
        return parsed(path.read_bytes(), f"'{path}'")
    except OSError as error:
        raise RunError(f"'{path}' cannot be read ({error.strerror})") from error


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any] | None = None
) -> None:
    """Write tensors, and a JSON document in the header, as one safetensors file, whole."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = None if document is None else {DOCUMENT: json.dumps(document, allow_nan=False)}
    write_whole(path, safetensors.torch.save(stored, metadata=header))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: the tensors, on the CPU, and the document.

    Raises:
        RunError: if it is not there, or cannot be read.
    """
    if not path.exists():
        raise RunError(f"'{path}' is not there")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
        return tensors, parsed(header.get(DOCUMENT, "{}"), "its document")
    except (safetensors.SafetensorError, OSError, RunError) as error:
        raise RunError(
            f"'{path}' cannot be read ({error}); files of a run are written whole, so this one "
            "was changed or damaged afterwards: remove it to start the run again"
        ) from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
