"""What the tests of exports share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pytest


@pytest.fixture(scope="module")
def listed_once() -> Iterator[None]:
    """Torch reads the source of onnxscript's 500 functions anew for each export: half of it."""
    registry: Any = import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "from_torchlib", staticmethod(cache(registry.from_torchlib)))
        yield
