"""Classifiers of torchvision, with random or with its published weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from spikewright.errors import ModelError
from spikewright.extras import require_extra


@dataclass(frozen=True)
class Preset:
    """How published weights are given their images.

    Attributes:
        mean, std: per channel, for pixels in 0 .. 1: the mean is subtracted, then the standard
            deviation divides.
        size: the side in pixels of the square that is cut from the centre.
        resize: the shorter side in pixels that pictures are resized to before.
        interpolation: the interpolation of that resizing, `"bilinear"` or `"bicubic"`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int
    resize: int
    interpolation: str


def torchvision_factory(name: str) -> Callable[..., Any]:
    """What makes `torchvision:NAME` or `torchvision:NAME@WEIGHTS`.

    Args:
        name: behind the colon; WEIGHTS is one of torchvision's names for them, such as DEFAULT or
            IMAGENET1K_V1. They are downloaded once, by torchvision, to the cache of torch.hub, and
            read as tensors alone (`weights_only`).

    Raises:
        ModelError: for a classifier or weights that torchvision does not have.
        MissingExtra: without torchvision.
    """
    models, classifier, weights = _found(name)

    def make(**arguments: Any) -> Any:
        if classifier in {"googlenet", "inception_v3"} and weights is None:
            arguments.setdefault("init_weights", True)  # unset, it draws a warning and means True
        try:
            return models.get_model(classifier, weights=weights, **arguments)
        except OSError as error:  # URLError and HTTPError are
            raise ModelError(
                f"the weights {weights} of '{classifier}' cannot be downloaded ({error}); fetch "
                f"{weights.url if weights is not None else 'them'} elsewhere and put the file in "
                "the folder hub/checkpoints of the torch cache (TORCH_HOME)"
            ) from error

    return make


def preset_of(spec: str) -> Preset | None:
    """How a model of torchvision with published weights is given images; None for any other.

    Raises:
        ModelError: for weights that torchvision does not have.
    """
    source, _, name = spec.partition(":")
    if source != "torchvision" or "@" not in name:
        return None
    _, _, weights = _found(name)
    transforms = weights.transforms()
    return Preset(
        tuple(transforms.mean),
        tuple(transforms.std),
        int(transforms.crop_size[0]),
        int(transforms.resize_size[0]),
        transforms.interpolation.value,
    )


def suggestion(name: str, known: list[str]) -> str:
    """Names that look alike, as a question in brackets; "" if there are none."""
    close = get_close_matches(name, known, n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _found(name: str) -> tuple[Any, str, Any]:
    """torchvision.models, the classifier's name, and its weights or None."""
    models = require_extra("torchvision.models", "vision", f"the model 'torchvision:{name}'")
    classifier, at, wanted = name.partition("@")
    known: list[str] = models.list_models(module=models)
    if classifier not in known:
        raise ModelError(
            f"torchvision has no classifier '{classifier}'"
            + (_elsewhere(models, classifier) or suggestion(classifier, known))
            + "; torchvision.models.list_models(module=torchvision.models) lists them"
        )
    if not at:
        return models, classifier, None
    published = models.get_model_weights(classifier).__members__
    if wanted not in published:
        raise ModelError(
            f"torchvision has no weights '{wanted}' of '{classifier}'; it has "
            f"{', '.join(published)}"
        )
    return models, classifier, published[wanted]


def _elsewhere(models: Any, name: str) -> str:
    """How a model of torchvision is named that is no classifier; "" for no model of it."""
    if name not in models.list_models():
        return ""
    builder = models.get_model_builder(name)
    package, _, _ = builder.__module__.rpartition(".")
    return f", but another model of this name: give {package}:{builder.__name__}"
