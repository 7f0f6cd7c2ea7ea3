"""From logits to predicted classes: the one way in which answers are counted as right."""

from __future__ import annotations

from torch import Tensor

from spikewright.errors import AnalysisError


def predictions(logits: Tensor) -> Tensor:
    """The classes with the highest logits: `predictions(logits) == labels` are right answers.

    Args:
        logits: `[B, classes]`; of equal ones the first counts.

    Returns:
        int64 `[B]`, on the device of the logits.
    """
    return logits.argmax(dim=1)


def require_answers(logits: Tensor, labels: Tensor, who: str) -> None:
    """See that logits and labels fit each other, so that right answers can be counted.

    Args:
        logits: `[B, classes]`, finite.
        labels: int64 `[B]`, each one of the classes.
        who: the network that answered, as errors name it.

    Raises:
        AnalysisError: for logits of another shape or that are not finite, and for labels of
            classes that the network does not have.
    """
    if logits.shape[:1] != labels.shape or logits.ndim != 2:
        raise AnalysisError(
            f"{who} answers {list(logits.shape)} to {len(labels)} samples; accuracy needs logits "
            "[B, classes]"
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
