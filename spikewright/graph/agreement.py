"""Does a captured graph compute what its model computes, each sample by itself?"""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import evaluate
from spikewright.graph.ir import Graph

_TOLERANCE = 1e-3
"""Largest difference that counts as rounding, relative to the largest answer, in 32 and 64 bits."""


def check_agreement(graph: Graph, batch: Tensor, expected: Tensor) -> None:
    """Refuse a graph that answers differently from its model, or that mixes the samples of a batch.

    Whether samples are mixed is seen by running the first and the last sample alone: their answers
    must be those that they got among the others. A batch of one sample is joined by its half.

    Args:
        graph: as captured.
        batch: `[B, *S]`, B at least 1.
        expected: the model's own answer to it, `[B, ...]`.

    Raises:
        ConversionError: if they differ by more than rounding, or the answer is not finite.
    """
    with torch.no_grad():
        captured = evaluate(graph, batch)
    if not bool(expected.isfinite().all()):
        raise ConversionError("the model's answer to this input holds NaN or infinite values")
    if captured.shape != expected.shape:
        raise ConversionError(
            f"the captured graph answers {list(captured.shape)}, the model {list(expected.shape)}"
        )
    limit = _limit(expected)
    difference = float((captured - expected).abs().max())
    if not difference <= limit:
        raise ConversionError(
            f"the captured graph differs from the model by {difference:.3g} (up to {limit:.3g} is "
            "rounding): the model may be random in eval mode, or choose its path by batch size"
        )
    mixed = _mixed(graph, batch, captured)
    if not mixed <= limit:
        raise ConversionError(
            f"a sample's answer changes by {mixed:.3g} when it is alone in its batch: the model "
            "mixes samples of a batch, which spiking conversion cannot do"
        )


def _mixed(graph: Graph, batch: Tensor, together: Tensor) -> float:
    """How far the answers to the first and the last sample depend on the others in the batch."""
    with torch.no_grad():
        if len(batch) == 1:
            batch = torch.cat([batch, batch / 2])
            together = evaluate(graph, batch)
        alone = torch.cat([evaluate(graph, batch[:1]), evaluate(graph, batch[-1:])])
    return float((alone - torch.cat([together[:1], together[-1:]])).abs().max())


def _limit(expected: Tensor) -> float:
    """What counts as rounding; in 16 bits, kernels for other batch sizes differ by several ulp."""
    tolerance = max(_TOLERANCE, 16 * torch.finfo(expected.dtype).eps)
    return tolerance * max(float(expected.abs().max()), 1e-6)
