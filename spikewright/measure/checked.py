"""One batch of data, taken apart into inputs and labels, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.measure.shown import Shown, is_shown, unsound


def taken_apart(item: Any) -> tuple[Any, Any, bool]:
    """Inputs and labels of a batch, and whether it has labels."""
    if isinstance(item, (tuple, list)) and len(item) == 2:  # pyright: ignore[reportUnknownArgumentType]
        return item[0], item[1], True  # pyright: ignore[reportUnknownVariableType]
    if isinstance(item, Mapping) and "labels" in item:
        rest: dict[Any, Any] = dict(item)  # pyright: ignore[reportUnknownArgumentType]
        return rest, rest.pop("labels"), True
    return item, None, False


def checked_inputs(shown: Any, number: int) -> Shown:
    """The one input of a network, or its several.

    Raises:
        AnalysisError: for what holds no tensor, NaN, or batches that are not finite.
    """
    if isinstance(shown, Tensor):
        return checked_images(shown, number)
    if not is_shown(shown):
        raise AnalysisError(
            f"batch {number} holds {described(shown)}; give a tensor [B, *S], or a dict of the "
            "model's arguments by name"
        )
    wrong = unsound(shown)
    if wrong is not None:
        raise AnalysisError(
            f"batch {number} holds NaN or infinite values in {wrong}; check the files and the "
            "preprocessing (constants, which are no batches, may hold infinity, and no NaN)"
        )
    return shown


def checked_images(images: Any, number: int) -> Tensor:
    """One tensor `[B, *S]`.

    Raises:
        AnalysisError: for anything else, or numbers that are not finite.
    """
    if not isinstance(images, Tensor) or images.ndim == 0:
        raise AnalysisError(f"batch {number} holds {described(images)}; give a tensor [B, *S]")
    if images.is_floating_point() and not bool(images.isfinite().all()):
        raise AnalysisError(
            f"batch {number} holds NaN or infinite values; check the files and the preprocessing"
        )
    return images


def class_numbers(labels: Any, which: str) -> Tensor:
    """Labels as int64 `[B]`, on the CPU.

    Args:
        labels: integers of any size.
        which: what they are, as an error calls them.

    Raises:
        AnalysisError: for anything but class numbers.
    """
    if not isinstance(labels, (Tensor, list, tuple)):
        raise AnalysisError(f"{which} are {described(labels)}; give integers [B]")
    try:
        classes = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AnalysisError(
            f"{which} are {described(labels)} that is no tensor ({error}); give integers [B]"
        ) from error
    inexact = classes.is_floating_point() or classes.is_complex()
    if classes.ndim != 1 or inexact or classes.dtype == torch.bool:
        raise AnalysisError(
            f"{which} are {classes.dtype} {list(classes.shape)}; give class numbers, integers of "
            "shape [B]"
        )
    return classes.long().cpu()


def described(item: Any) -> str:
    """What it is, for errors."""
    if isinstance(item, Tensor):
        return f"one tensor {list(item.shape)}"
    if isinstance(item, (tuple, list)):
        return f"a {type(item).__name__} of {len(item)}"
    return f"of type {type(item).__name__}"


def number_of(labels: Tensor) -> int:
    """How many labels there are."""
    return len(labels) if labels.ndim else 1
