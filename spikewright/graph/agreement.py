"""A check that a captured graph computes what its model computes, each sample by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.evaluate import evaluate
from spikewright.graph.ir import Graph

_TOLERANCE = 1e-3
"""Largest difference that counts as rounding, relative to the largest answer."""


def check_agreement(graph: Graph, batch: Tensor, expected: Tensor) -> None:
    """Refuse a graph that answers differently from its model, or that mixes the samples of a batch.

    Whether samples are mixed is seen by changing all samples but one: its answer must stay. The
    batch keeps its size meanwhile. A sample run alone, or at another place, meets other kernels,
    whose rounding can move a quantised activation by a whole level.

    Args:
        graph: as captured.
        batch: `[B, *S]`, B at least 1.
        expected: the model's own answer to it, `[B, ...]`.

    Raises:
        ConversionError: if they differ by more than rounding, or the answer is not finite.
    """
    if not bool(expected.isfinite().all()):
        raise ConversionError("the model's answer to this input holds NaN or infinite values")
    with torch.no_grad():
        captured = evaluate(graph, batch)
    if captured.shape != expected.shape:
        raise ConversionError(
            f"the captured graph answers {list(captured.shape)}, the model {list(expected.shape)}"
        )
    limit = _TOLERANCE * max(float(expected.abs().max()), 1e-6)
    difference = float((captured - expected).abs().max())
    if not difference <= limit:
        raise ConversionError(
            f"the captured graph differs from the model by {difference:.3g} (up to {limit:.3g} is "
            "rounding): the model may be random in eval mode, or choose its path by batch size"
        )
    mixed = _mixed(graph, batch)
    if not mixed <= limit:
        raise ConversionError(
            f"a sample's answer changes by {mixed:.3g} with the others in its batch: the model "
            "mixes samples of a batch, which spiking conversion cannot do"
        )


def _mixed(graph: Graph, batch: Tensor) -> float:
    """How far the answers to the first and the last sample depend on the others in the batch."""
    others = 0.5 - batch / 2
    if len(batch) == 1:
        batch, others = torch.cat([batch, others]), torch.cat([others, batch])
    with torch.no_grad():
        together = evaluate(graph, batch)
        first = evaluate(graph, torch.cat([batch[:1], others[1:]]))
        last = evaluate(graph, torch.cat([others[:-1], batch[-1:]]))
    changes = torch.cat([first[:1] - together[:1], last[-1:] - together[-1:]])
    return float(changes.abs().max())
