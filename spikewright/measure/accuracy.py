"""From logits to predicted classes: the one way in which answers are counted as right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.graph.structure import Structure
from spikewright.measure.checked import class_numbers


def logits_of(answer: Any, who: str) -> Tensor:
    """The logits in a network's answer: its only tensor, or the one that is called so.

    Args:
        answer: a tensor, or tuples, lists, dicts and objects of them.
        who: the network that answered, as errors name it.

    Raises:
        AnalysisError: where it cannot be known which tensor holds logits.
    """
    if isinstance(answer, Tensor):
        return answer
    named = answer.get("logits") if isinstance(answer, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    named = getattr(answer, "logits", named)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(named, Tensor):
        return named
    places = Structure.of(answer).places
    tensors = {place: leaf for place, leaf in places.items() if isinstance(leaf, Tensor)}
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    raise AnalysisError(
        f"{who} answers {len(tensors)} tensors ({', '.join(tensors)}), and none of them is called "
        "'logits': right answers are counted by one tensor [B, classes]; wrap the model in a "
        "module whose forward returns it, give a metric of your own, or leave the labels out"
    )


def predictions(logits: Tensor) -> Tensor:
    """The classes with the highest logits: `predictions(logits) == labels` are right answers.

    Args:
        logits: `[B, classes]`; of equal ones the first counts.

    Returns:
        int64 `[B]`, on the device of the logits.
    """
    return logits.argmax(dim=1)


def classes_of(answer: Any, labels: Any) -> Tensor | None:
    """The labels as int64 `[B]`, where they are classes that an answer has logits `[B, C]` of."""
    try:
        classes, logits = class_numbers(labels, "they"), logits_of(answer, "it")
    except AnalysisError:
        return None
    fits = logits.ndim == 2 and len(logits) == len(classes) > 0 and logits.shape[1] > 1
    known = fits and 0 <= int(classes.min()) <= int(classes.max()) < logits.shape[1]
    return classes if known else None


def require_answers(logits: Tensor, labels: Tensor, who: str) -> None:
    """See that logits and labels fit each other, so that right answers can be counted.

    Args:
        logits: `[B, classes]`, finite, of two classes or more.
        labels: int64 `[B]`, each one of the classes.
        who: the network that answered, as errors name it.

    Raises:
        AnalysisError: for logits of another shape or that are not finite, and for labels of
            classes that the network does not have.
    """
    if logits.shape[:1] != labels.shape or logits.ndim != 2 or logits.shape[1] < 2:
        raise AnalysisError(
            f"{who} answers {list(logits.shape)} to {len(labels)} samples; accuracy needs logits "
            "[B, classes], of two or more: give a metric of your own, or leave the labels out"
        )
    if not bool(logits.isfinite().all()):
        raise AnalysisError(
            f"{who} gave NaN or infinite logits; check its weights, and that the images are "
            "preprocessed as they were for calibration"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise AnalysisError(
            f"{who} knows the classes 0 to {logits.shape[1] - 1}, the labels run from {low} to "
            f"{high}: this data belongs to another model, or its labels need mapping"
        )
