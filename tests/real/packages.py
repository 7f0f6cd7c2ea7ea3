"""Files inside installed packages: trained weights and real data; a test skips without them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest
import torch
from torch import Tensor


def file_of(package: str, ending: str) -> Path:
    """The file of an installed package whose path ends so."""
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        pytest.skip(f"needs the package {package} (install it with --no-deps)")
    return next(Path(str(file.locate())) for file in listed if str(file).endswith(ending))


def weights_of(package: str, ending: str) -> dict[str, Tensor]:
    """Tensors of a checkpoint inside an installed package, without `module.` before their names."""
    state = torch.load(file_of(package, ending), map_location="cpu", weights_only=True)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}
