"""The hardware bundle: a folder with integers (`weights.npz`) and what they mean (`network.json`).

It holds no code, and whoever wants to run it on a chip needs neither this library nor torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import InterchangeError
from spikewright.interchange.fields import items, mapping, strict_json, typed

FORMAT = "spikewright hardware bundle"
VERSION = 1
"""Raised whenever a reader of the version before would misread a bundle."""

NETWORK = "network.json"
WEIGHTS = "weights.npz"


@dataclass(frozen=True)
class Bundle:
    """A network of integers.

    Attributes:
        document: what `network.json` says: nodes in order, their inputs, arrays and geometry.
        arrays: by name, the arrays of `weights.npz`.
    """

    document: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def steps(self) -> int:
        """T."""
        return int(self.document["steps"])

    @property
    def nodes(self) -> tuple[Mapping[str, Any], ...]:
        """The layers, in an order in which they can run."""
        return tuple(self.document["nodes"])

    def array(self, node: Mapping[str, Any], role: str) -> NDArray[Any]:
        """An array of a node, by what it is to the node, such as `"threshold"`."""
        return self.arrays[node["arrays"][role]]

    def with_more(self, **said: Any) -> Bundle:
        """The same bundle, whose document says more."""
        return Bundle({**self.document, **said}, self.arrays)


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle as a folder that is there as a whole or not at all.

    Args:
        path: of the folder; a bundle that is there is replaced, anything else is not.
        bundle: what to write; the SHA-256 of its arrays is added to the document.

    Raises:
        InterchangeError: when something other than a bundle is there, it cannot be written, or its
            document holds what JSON does not.
    """
    path = Path(os.path.realpath(path))
    others = _others(path)
    if others:
        raise InterchangeError(
            f"'{path}' is there and is no hardware bundle (it holds {others[0]}): nothing was "
            "written; choose another folder, or remove that one"
        )
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **dict(bundle.arrays))
    weights = archive.getvalue()
    seal = {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()}
    document = {"format": FORMAT, "version": VERSION, "weights": seal, **bundle.document}
    try:
        text = json.dumps(document, allow_nan=False, indent=1) + "\n"
    except (TypeError, ValueError) as error:
        raise InterchangeError(f"notes must be plain JSON values ({error})") from error
    try:
        _write_folder(path, {NETWORK: text.encode(), WEIGHTS: weights})
    except OSError as error:
        raise InterchangeError(f"cannot write '{path}' ({error.strerror})") from error


def _others(path: Path) -> list[str]:
    """What is at a path that no bundle has."""
    if not path.exists():
        return []
    if not path.is_dir():
        return ["a file of that name"]
    return sorted({entry.name for entry in path.iterdir()} - {NETWORK, WEIGHTS})


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Written beside its place and moved there; an older folder is moved away just before."""
    mark = uuid4().hex
    newer, older = (path.with_name(f".{path.name}.{mark}.{end}") for end in ("new", "older"))
    try:
        newer.mkdir()
        for name, content in files.items():
            with (newer / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if path.exists():
            path.rename(older)
        try:
            newer.rename(path)
        except OSError:
            if older.exists():
                older.rename(path)
            raise
    finally:
        for left in (newer, older):
            shutil.rmtree(left, ignore_errors=True)


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle, and check that its arrays are the ones that were written with it.

    Raises:
        InterchangeError: for a folder that holds none, or one that was damaged or changed.
    """
    folder = Path(path)
    try:
        text = (folder / NETWORK).read_text(encoding="utf-8")
        weights = (folder / WEIGHTS).read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise InterchangeError(
            f"'{folder}' holds no hardware bundle ({error}); make one with "
            "spikewright export --to hardware"
        ) from error
    document = mapping(strict_json(text, f"'{folder}': {NETWORK}"), f"'{folder}': {NETWORK}")
    if document.get("format") != FORMAT or document.get("version") != VERSION:
        raise InterchangeError(
            f"'{folder}': {NETWORK} is no '{FORMAT}' of version {VERSION}: install the spikewright "
            "that wrote it"
        )
    seal = mapping(document.get("weights"), f"'{folder}': the weights").get("sha256")
    if hashlib.sha256(weights).hexdigest() != seal:
        raise InterchangeError(
            f"'{folder}': the SHA-256 of {WEIGHTS} is not the one in {NETWORK}: they are not of "
            "one bundle, or damaged; export again"
        )
    with np.load(io.BytesIO(weights), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    _check_arrays(document, arrays, folder)
    return Bundle(document, arrays)


def _check_arrays(
    document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], folder: Path
) -> None:
    """Every array that a node names is there."""
    for node in items(document.get("nodes"), f"'{folder}': the nodes"):
        named = mapping(mapping(node, "a node").get("arrays"), "the arrays of a node")
        for name in named.values():
            if typed(name, str, "the name of an array") not in arrays:
                raise InterchangeError(f"'{folder}': array '{name}' is not in {WEIGHTS}")
