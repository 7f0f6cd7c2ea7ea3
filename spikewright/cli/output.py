"""Writes results into a folder, each file as a whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from spikewright.cli.failures import WrongUsage
from spikewright.files import sweep_leftovers, write_whole


def prepare_folder(folder: Path | None) -> None:
    """Make the output folder and see that it can be written to, before any long work.

    Raises:
        WrongUsage: when it cannot.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(folder)
        probe = folder / f".{uuid4().hex}.partial"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WrongUsage(f"--output {folder}: cannot write there ({error.strerror})") from error


TIMES = ("started", "seconds")
"""The entries that no two runs have in common."""
NAMES = ("network", "steps")
"""The entries of timing.json that name what was timed."""


def without_times(document: Any) -> Any:
    """Plain JSON values without wall times: what the same command gives again, byte for byte."""
    if isinstance(document, Mapping):
        return {k: without_times(v) for k, v in document.items() if k not in TIMES}
    if isinstance(document, (list, tuple)):
        return [without_times(entry) for entry in document]
    return document


def times_of(document: Any) -> Any:
    """The wall times in plain JSON values, with the names of what they belong to; None if none."""
    if isinstance(document, (list, tuple)):
        return [times for times in map(times_of, document) if times] or None
    if not isinstance(document, Mapping):
        return None
    inner = {key: times_of(value) for key, value in document.items()}
    times = {key: document[key] for key in TIMES if key in document}
    times |= {key: value for key, value in inner.items() if value}
    names = {key: document[key] for key in NAMES if key in document}
    return {**names, **times} if times else None


def write_files(folder: Path | None, files: Mapping[str, str]) -> None:
    """Write texts by file name; each replaces an older file in one move."""
    if folder is not None:
        for name, text in files.items():
            write_whole(folder / name, text.encode())
