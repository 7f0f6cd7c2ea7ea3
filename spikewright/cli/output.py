"""Writes results into a folder, each file as a whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from spikewright import files
from spikewright.cli.failures import WrongUsage


def prepare_folder(folder: Path | None) -> None:
    """Make the output folder and see that it can be written to, before any long work.

    Raises:
        WrongUsage: when it cannot.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid4().hex}.partial"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WrongUsage(f"--output {folder}: cannot write there ({error.strerror})") from error


def write_files(folder: Path | None, files: Mapping[str, str]) -> None:
    """Write texts by file name; each replaces an older file in one move."""
    if folder is not None:
        for name, text in files.items():
            write_whole(folder / name, text)


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that no reader, and no crash, ever sees a part of it."""
    files.write_whole(path, text.encode())
