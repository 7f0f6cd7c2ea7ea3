"""Input that changes in time: one frame a step, as event cameras give it.

A network is shown one image `[B, *S]` at every step, or frames `[T, B, *S]`, frame t at step t. A
two-phase first layer accumulates the frames, and its charge is their sum: where every neuron has
a count law, the mean frame is all that matters, and the count engine is given that. One-phase
neurons see when what arrives.
"""

from __future__ import annotations

from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import check_input
from spikewright.graph.ir import Graph
from spikewright.network.plan import Plan


def are_frames(graph: Graph, shown: Tensor) -> bool:
    """Whether input is frames `[T, B, *S]`: it has one dimension more than a batch has."""
    return shown.ndim == len(graph.input_shape) + 2


def batch_dimension(graph: Graph, shown: Tensor) -> int:
    """The dimension of the input that counts samples: 0 of `[B, *S]`, 1 of frames `[T, B, *S]`."""
    return 1 if are_frames(graph, shown) else 0


def by_sample(graph: Graph, shown: Tensor) -> Tensor:
    """Input with samples first: `[B, *S]` as it is, frames as `[B, T, *S]`."""
    return shown.transpose(0, 1) if are_frames(graph, shown) else shown


def mean_image(graph: Graph, shown: Tensor) -> Tensor:
    """The mean of the input over time, `[B, *S]`."""
    return shown.mean(0) if are_frames(graph, shown) else shown


def check_shown(plan: Plan, shown: Tensor, like: Tensor) -> None:
    """Refuse input that a network was not captured for, or frames that do not fit its window.

    Args:
        plan: the network at one T.
        shown: a batch `[B, *S]`, or frames `[T, B, *S]`.
        like: a tensor of the network's dtype and device.

    Raises:
        ConversionError: for another shape, dtype or device, an empty batch, a number of frames
            other than T, or frames for neurons whose steps do not all weigh the same.
    """
    if not isinstance(shown, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConversionError(
            f"a network takes a tensor [B, {', '.join(map(str, plan.source.input_shape))}], got "
            f"{type(shown).__name__}: torch.as_tensor(...) makes one of an array or a list"
        )
    if not are_frames(plan.source, shown):
        check_input(plan.source, shown, like)
        return
    if len(shown) != plan.steps:
        raise ConversionError(
            f"got {len(shown)} frames for T = {plan.steps} (input {list(shown.shape)} is read as "
            f"[T, B, ...]): simulate with steps={len(shown)}, or integrate the recordings into "
            f"{plan.steps} frames"
        )
    if plan.weights.tolist() != [1.0] * plan.steps:
        label = next(iter(plan.neurons.values())).label
        raise ConversionError(
            f"'{label}' takes {plan.duration} steps whose spikes do not all weigh 1, so T = "
            f"{plan.steps} frames cannot be shown to it one a step and count alike: use a neuron "
            "whose T steps count alike (code 'random', 'burst' or 'late', or "
            "integrate-and-fire), or show the mean frame, snn(frames.mean(0))"
        )
    check_input(plan.source, shown[0], like)
