"""How the architectures of the census are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

Inputs = tuple[Any, ...] | dict[str, Any]
"""What a model is called with: positional arguments, or keyword arguments; batches of 2."""
Build = Callable[[], tuple[nn.Module, Inputs]]
"""Makes a network with random weights, and example inputs."""


def called(model: nn.Module, inputs: Inputs) -> Any:
    """The model's answer."""
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)
