"""The model that networks are compared with: it must be able to answer what they are shown."""

from __future__ import annotations

from typing import Any

from torch import nn

from spikewright.errors import AnalysisError, SpikewrightError
from spikewright.measure.batches import are_frames
from spikewright.measure.memory import is_out_of_memory
from spikewright.measure.shown import Shown, answer_to, tensors_in


def check_reference(reference: nn.Module | None) -> None:
    """Refuse a reference in training mode.

    Raises:
        AnalysisError: for one of which any module is.
    """
    if reference is None:
        return
    training = [name or "itself" for name, part in reference.named_modules() if part.training]
    if training:
        raise AnalysisError(
            f"the reference is in training mode ({', '.join(training[:3])}): call model.eval()"
        )


def reference_answer(reference: nn.Module, shown: Shown, dimensions: int) -> Any:
    """What a reference answers to a batch; of frames it is shown the mean.

    Raises:
        AnalysisError: where it raises an error of its own, other than for memory.
    """
    still = shown.mean(0) if are_frames(shown, dimensions) else shown
    try:
        return answer_to(reference, still)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if is_out_of_memory(error) or isinstance(error, SpikewrightError):
            raise
        told = ", ".join(f"{leaf.dtype} {list(leaf.shape)}" for leaf in tensors_in(still))
        raise AnalysisError(
            f"the reference cannot answer what the networks are shown, {told}: {error}; give it in "
            "the dtype of the networks, as one of the same inputs, or take the ANN that a network "
            "was converted from, reference=snn.ann()"
        ) from error
