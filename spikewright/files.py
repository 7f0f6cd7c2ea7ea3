"""Files that are there as a whole or not at all, whenever the process dies."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

AnyPath = str | os.PathLike[str]
"""A path as callers may give it."""

_PARTIAL = re.compile(r"\.(.+\.)?[0-9a-f]{32}\.partial")
"""Names of files and folders that are being written: only these are ever swept away."""

_LONGEST_NAME = 255 - len(f"..{uuid4().hex}.partial")
"""The bytes of a name that are left of those of a file system where it is being written."""

_LEFT_AFTER = 3600.0
"""Seconds without a change after which what is being written counts as left by a dead process."""


def printable(name: str) -> str:
    """A name as text: what is no UTF-8 in a file name, such as Latin-1, is spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no crash, ever sees a part of it.

    It is written beside its place and moved there: an older file is replaced in one move.

    Raises:
        OSError: naming `path`, where the disk is full or writing is not allowed, or there is a
            device, such as /dev/null, which root would replace; an older file is as it was.
    """
    partial = _partial(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OSError(errno.EINVAL, "is a device or a pipe, and no file to replace")
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document, whole; not-a-number has no place in it.

    Raises:
        OSError: see `write_whole`.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


@contextmanager
def appearing_whole(folder: Path) -> Generator[Path]:
    """A folder beside `folder` that takes its place in one move, or is removed on an error.

    Raises:
        OSError: where it cannot be written, or `folder` is there and not empty.
    """
    partial = _partial(folder)
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sweep_leftovers(folder: Path, unchanged_for: float = _LEFT_AFTER) -> None:
    """Remove what processes that were killed while they wrote left in a folder.

    Args:
        folder: other processes may be writing into it.
        unchanged_for: seconds; what changed later may be another process's work.
    """
    before = time.time() - unchanged_for
    for partial in folder.glob(".*.partial"):
        with suppress(FileNotFoundError):  # its writer, or another sweeper, was here first
            if not _PARTIAL.fullmatch(partial.name) or partial.lstat().st_mtime > before:
                continue
            if partial.is_dir() and not partial.is_symlink():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink()


def _partial(path: Path) -> Path:
    """Where a file or folder is written before it takes its place."""
    if path.name in {"", ".."}:
        raise OSError(errno.EINVAL, "is no name that a file or folder can take", str(path))
    kept = path.name[:_LONGEST_NAME]
    while len(os.fsencode(kept)) > _LONGEST_NAME:
        kept = kept[:-1]
    return path.with_name(f".{kept}.{uuid4().hex}.partial")
