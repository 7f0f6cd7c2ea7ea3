"""The architectures of the census, by source; listing them imports none of their packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

Inputs = tuple[Any, ...] | dict[str, Any]
"""What a model is called with: positional arguments, or keyword arguments; batches of 2."""
Build = Callable[[], tuple[nn.Module, Inputs]]


@dataclass(frozen=True)
class Entry:
    """An architecture.

    Attributes:
        source: `timm`, `torchvision`, `hf` or `others`.
        name: unique within the source.
        build: makes the network with random weights, and example inputs.
    """

    source: str
    name: str
    build: Build


PACKAGES = {
    "timm": ("timm",),
    "torchvision": ("torchvision",),
    "hf": ("transformers",),
    "others": ("torchaudio", "ultralytics", "segmentation_models_pytorch", "diffusers"),
}
"""What the architectures of a source need."""


def entries(source: str) -> list[Entry]:
    """The architectures of one source, one of every family."""
    return [Entry(source, name, build) for name, build in _builds(source).items()]


def _builds(source: str) -> dict[str, Build]:
    from docs_tools.census import hugging_face, libraries, timm_models, torchvision_models
    from docs_tools.census.plain import PLAIN

    if source == "timm":
        return {name: partial(timm_models.build, name) for name in timm_models.NAMES.split()}
    if source == "torchvision":
        return torchvision_models.builds()
    if source == "hf":
        return hugging_face.builds()
    return libraries.builds() | PLAIN


def called(model: nn.Module, inputs: Inputs) -> Any:
    """The model's answer."""
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)
