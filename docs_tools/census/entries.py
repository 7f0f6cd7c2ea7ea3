"""The architectures of the census, by source; listing them imports none of their packages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from docs_tools.census import hugging_face, libraries, timm_models, torchvision_models
from docs_tools.census.building import Build
from docs_tools.census.plain import PLAIN


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
    if source == "timm":
        return {name: partial(timm_models.build, name) for name in timm_models.NAMES.split()}
    if source == "torchvision":
        return torchvision_models.builds()
    if source == "hf":
        return hugging_face.builds()
    return libraries.builds() | PLAIN
