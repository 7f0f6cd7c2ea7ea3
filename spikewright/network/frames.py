"""Input that changes in time: one frame a step, as event cameras give it.

A network is shown one image `[B, *S]` at every step, or frames `[T, B, *S]`, frame t at step t. A
two-phase first layer accumulates the frames, and its charge is their sum: where every neuron has
a count law, the mean frame is all that matters, and the count engine is given that. One-phase
neurons see when what arrives.
"""

from __future__ import annotations

from typing import TypeGuard, overload

from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import check_inputs
from spikewright.graph.inputs import Batch, content_of, tensors_of
from spikewright.graph.ir import Graph
from spikewright.network.plan import Plan


def are_frames(shown: Batch, graph: Graph) -> TypeGuard[Tensor]:
    """Whether input is frames `[T, B, *S]`: it has one dimension more than a batch has."""
    return isinstance(shown, Tensor) and shown.ndim == len(graph.inputs[0].shape) + 2


def batch_dimension(graph: Graph, shown: Batch) -> int:
    """The dimension of the input that counts samples: 0 of `[B, *S]`, 1 of frames `[T, B, *S]`."""
    return 1 if are_frames(shown, graph) else 0


def samples_in(graph: Graph, shown: Batch) -> int:
    """The number of samples that are shown."""
    return shown.shape[1] if are_frames(shown, graph) else len(shown)


def shown_to_samples(graph: Graph, shown: Batch) -> Tensor:
    """All that every sample is shown, `[B, ...]`, of frames `[B, T, *S]`."""
    return shown.transpose(0, 1) if are_frames(shown, graph) else content_of(shown)


@overload
def mean_image(graph: Graph, shown: Tensor) -> Tensor: ...
@overload
def mean_image(graph: Graph, shown: Batch) -> Batch: ...
def mean_image(graph: Graph, shown: Batch) -> Batch:
    """The mean of the input over time, `[B, *S]`."""
    return shown.mean(0) if are_frames(shown, graph) else shown


def check_shown(plan: Plan, shown: Batch, like: Tensor) -> None:
    """Refuse input that a network was not captured for, or frames that do not fit its window.

    Args:
        plan: the network at one T.
        shown: a batch of all inputs, or frames `[T, B, *S]`.
        like: a tensor of the network's dtype and device.

    Raises:
        ConversionError: for another shape, dtype or device, an empty batch, NaN or infinity, a
            number of frames other than T, or frames for neurons whose steps do not all weigh the
            same.
    """
    one = plan.source.takes_one_signal
    if not isinstance(shown, Tensor) or not one or not are_frames(shown, plan.source):
        check_inputs(plan.source, shown, like)
        _refuse_not_finite(shown)
        return
    if len(shown) != plan.steps:
        raise ConversionError(
            f"got {len(shown)} frames for T = {plan.steps} (input {list(shown.shape)} is read as "
            f"[T, B, ...]): simulate with steps={len(shown)}, or integrate the recordings into "
            f"{plan.steps} frames"
        )
    if plan.weights.tolist() != [1.0] * plan.steps:
        labels = "' and '".join(dict.fromkeys(n.label for n in plan.neurons.values()))
        raise ConversionError(
            f"the longest window of '{labels}' takes {plan.duration} steps whose spikes do not all "
            f"weigh 1, or are not T, so T = {plan.steps} frames cannot be shown one a step and "
            "count alike: use neurons whose T steps count alike (code 'random', 'burst' or 'late', "
            "or integrate-and-fire), or show the mean frame, snn(frames.mean(0))"
        )
    check_inputs(plan.source, shown[0], like)
    _refuse_not_finite(shown)


def _refuse_not_finite(shown: Batch) -> None:
    if not all(bool(t.isfinite().all()) for t in tensors_of(shown) if t.is_floating_point()):
        raise ConversionError(
            "the input holds NaN or infinity, of which neurons would make some number of spikes: "
            "see how the samples were read, or leave those out in which x.isfinite() is false"
        )
