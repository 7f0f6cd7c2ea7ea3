"""The file itself: safetensors with one JSON document, sealed by a SHA-256 of every byte.

The document's "sha256" is the digest of the file in which its 64 digits read 0. It shows damage; it
does not show who wrote the file, so whatever is read is checked all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from spikewright.artefact.fields import mapping, strict_json, typed
from spikewright.errors import InterchangeError

FORMAT = "spikewright network"
VERSION = 6
"""Raised whenever a reader of the version before would misread a file; only this one is read.

In version 1, T was the largest count, whatever the code; now it is the time steps of a window.
Version 2 did not tell whose counts have signs. Up to version 5, all neurons had the network's T,
and thresholds were fitted for one neuron at all sites.
"""

_DOCUMENT = "document"
_UNSEALED = "0" * 64
_LENGTH_BYTES = 8
_LONGEST_HEADER = 1 << 26


def packed(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> bytes:
    """Tensors and a JSON document as the bytes of one sealed file."""
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = safetensors.torch.save(stored, metadata={_DOCUMENT: written(document)})
    return content.replace(_UNSEALED.encode(), _digest(content, _UNSEALED).encode(), 1)


def written(document: Mapping[str, Any]) -> str:
    """The JSON text of a document as it stands in a file that is not sealed yet."""
    whole = {"format": FORMAT, "version": VERSION, "sha256": _UNSEALED, **document}
    return json.dumps(whole, allow_nan=False, separators=(",", ":"))


def _digest(content: bytes, seal: str) -> str:
    return hashlib.sha256(content.replace(seal.encode(), _UNSEALED.encode(), 1)).hexdigest()


def read_document(path: Path) -> dict[str, Any]:
    """The JSON document of a file, from its header alone; the tensors are not read.

    Raises:
        InterchangeError: for a file that is not there, not ours, or of a newer version.
    """
    return _opened(path)[0]


def unpacked(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the document of a file.

    Raises:
        InterchangeError: as `read_document`, and for a file that is cut short or was changed.
    """
    document, needed = _opened(path)
    seal = typed(document["sha256"], str, f"'{path}': its sha256")
    content = path.read_bytes()
    if len(content) != needed:
        raise InterchangeError(
            f"'{path}' holds {len(content):,} bytes where its header announces {needed:,}: it was "
            "cut short or added to; copy it again from where it was saved"
        )
    if len(seal) != len(_UNSEALED) or _digest(content, seal) != seal:
        raise InterchangeError(
            f"'{path}' was changed or damaged after it was saved: its SHA-256 is not the one it "
            "holds; copy it again from where it was saved"
        )
    try:
        return safetensors.torch.load(content), document
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise InterchangeError(f"'{path}': its tensors cannot be read ({error})") from error


def _opened(path: Path) -> tuple[dict[str, Any], int]:
    """The document, and how many bytes the file must have."""
    if not path.is_file():
        raise InterchangeError(f"there is no saved network '{path}'")
    try:
        header_text, start = _header(path)
    except OSError as error:
        raise InterchangeError(f"'{path}' cannot be read ({error.strerror})") from error
    header = dict(mapping(strict_json(header_text, f"'{path}': its header"), "the header"))
    metadata = mapping(header.pop("__metadata__", {}), f"'{path}': its metadata")
    text = metadata.get(_DOCUMENT)
    document = strict_json(text, f"'{path}': its document") if isinstance(text, str) else {}
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InterchangeError(
            f"'{path}' holds tensors, but not a network saved by SpikingNetwork.save(); weights of "
            "a model go to convert() with the model"
        )
    _check_version(path, document)
    ends = [_end(entry, f"'{path}': tensor '{name}'") for name, entry in header.items()]
    return document, start + max(ends, default=0)


def _header(path: Path) -> tuple[str, int]:
    """The text of the safetensors header, and where the tensors start."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        start = _LENGTH_BYTES + length
        if size < _LENGTH_BYTES or start > size or length > _LONGEST_HEADER:
            raise InterchangeError(
                f"'{path}' is not a safetensors file, or was cut short: its first 8 bytes announce "
                f"a header of {length:,} bytes in a file of {size:,}"
            )
        header = file.read(length)
    try:
        return header.decode("utf-8"), start
    except UnicodeDecodeError as error:
        raise InterchangeError(f"'{path}' is not a safetensors file ({error})") from error


def _check_version(path: Path, document: dict[str, Any]) -> None:
    version = typed(document.get("version"), int, f"'{path}': its version")
    if version > VERSION:
        raise InterchangeError(
            f"'{path}' is of format version {version}, this spikewright reads version {VERSION}: "
            "install a newer one (pip install --upgrade spikewright)"
        )
    if version == 1:
        raise InterchangeError(
            f"'{path}' is of format version 1, in which T was the largest count; since version 2 "
            "it is the number of time steps, whatever the code: convert the model again"
        )
    if version == 2:
        raise InterchangeError(
            f"'{path}' is of format version 2, which did not tell whose counts have signs: convert "
            "the model again"
        )
    if version == 3:
        raise InterchangeError(
            f"'{path}' is of format version 3, whose designs hold no weights: convert the model "
            "again"
        )
    if version in (4, 5):
        raise InterchangeError(
            f"'{path}' is of format version {version}, in which all sites were calibrated for one "
            "neuron: convert the model again"
        )
    if version != VERSION or "sha256" not in document:
        raise InterchangeError(f"'{path}' is of no known format version ({version})")


def _end(entry: Any, what: str) -> int:
    offsets = mapping(entry, what).get("data_offsets")
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise InterchangeError(f"{what} has no place in the file")
    return typed(offsets[1], int, what)
