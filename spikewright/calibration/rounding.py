"""Weights in 8 bits, each rounded in its turn, the others making up for its error.

This is GPTQ (Frantar et al., ICLR 2023, equations 2 and 3): with H the second moments of the inputs
that are left, an error e of weight q is made up for best by `-e H^-1[q, :] / H^-1[q, q]` at the
others, and the Cholesky factor of the whole H^-1 holds these rows for every turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from spikewright.calibration.moments import Moments
from spikewright.graph.affines import SENT, with_affines_in_weights
from spikewright.graph.ir import Graph
from spikewright.graph.scales import fold_scales
from spikewright.graph.whole_numbers import (
    LARGEST_DIGIT,
    reading_whole_numbers,
    stored_weight,
    unit_of,
)

DAMPING = 0.01
"""What is added to each second moment about the mean, in mean ones, as the paper does."""
LEAST_DAMPING = 1e-9
"""What is added at least, in mean second moments about 0, as some inputs hardly vary."""

BLOCK = 128
"""Weights of a row that are rounded before those behind them make up for their errors."""


def factors_of_weights(graph: Graph, worth: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What weights are multiplied by once they read counts, `[G, 1, K]`, by operation.

    Operations that read something else as well, such as averages, are left out.

    Args:
        graph: scales not folded.
        worth: by site name, what a count of one stands for, placed as its activations are.
    """
    tensors = dict(graph.tensors)
    for op in graph.operations:
        weighted = stored_weight(op, graph)
        if weighted is not None:
            tensors[weighted[0].name] = torch.ones_like(tensors[weighted[0].name])
    folded = fold_scales(with_affines_in_weights(replace(graph, tensors=tensors)), worth)
    found = reading_whole_numbers(folded).items()  # an affine's shift may follow what it was
    return {name.removesuffix(SENT): view.rows[:, :1] for name, (_, view) in found}


def rounded(rows: Tensor, factors: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
    """Weights that are whole numbers of one unit a row once they are multiplied by factors.

    The largest of each row is 127 units, so that rounding each to the nearest changes none of them.

    Args:
        rows: `[G, O, K]`.
        factors: what they are multiplied by, `[G, 1, K]`; weights stay where it is 0.
        moments: of what they read, with a constant behind it where `moments.free` is 1.

    Returns:
        Such weights, float64 `[G, O, K]`, and what to add to the bias, `[G, O]`; 0 without one.
    """
    size, factors = rows.shape[-1], factors.double()
    inverse = (1 / factors).where(factors != 0, 0.0)
    about_0 = moments.squares[:, :size, :size] * (inverse.mT * inverse)
    squares, mean = about_0, rows.new_zeros(len(rows), 1, size).double()
    if moments.free:  # the bias takes up the mean
        count = moments.squares[:, -1:, -1:]
        mean = moments.squares[:, -1:, :size] / count
        squares = about_0 - count * (mean * inverse).mT * (mean * inverse)
    damping = (DAMPING * _mean_of_diagonal(squares)).clamp(min=torch.finfo(squares.dtype).tiny)
    damping = damping.maximum(LEAST_DAMPING * _mean_of_diagonal(about_0))
    exact = rows.double()
    found = _by_turns(exact * factors, squares + damping * torch.eye(size)) * inverse
    found = found.where(factors != 0, exact)
    return found, ((exact - found) * mean).sum(-1)


def _mean_of_diagonal(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]


def _by_turns(rows: Tensor, squares: Tensor) -> Tensor:
    """Rows `[G, O, K]` rounded from the weight with the largest second moment to the smallest."""
    order = squares.diagonal(dim1=-2, dim2=-1).argsort(-1, descending=True)
    squares = squares.gather(1, order[:, :, None].expand_as(squares))
    squares = squares.gather(2, order[:, None, :].expand_as(squares))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(squares))
    effects = torch.linalg.cholesky(inverse, upper=True)
    columns = order[:, None, :].expand_as(rows)
    left, unit = rows.gather(-1, columns), unit_of(rows)
    largest, end = left.abs().argmax(-1, keepdim=True), left.gather(-1, left.abs().argmax(-1, True))
    whole = torch.empty_like(left)
    for start in range(0, left.shape[-1], BLOCK):
        block = range(start, min(start + BLOCK, left.shape[-1]))
        errors = list[Tensor]()
        for at in block:
            digit = (left[..., at, None] / unit).round().clamp(-LARGEST_DIGIT, LARGEST_DIGIT)
            value = torch.where(largest == at, end, digit * unit)
            whole[..., at, None] = value
            errors.append((left[..., at, None] - value) / effects[:, at, at, None, None])
            left[..., at : block.stop] -= errors[-1] * effects[:, None, at, at : block.stop]
        behind = effects[:, block.start : block.stop, block.stop :]
        left[..., block.stop :] -= torch.cat(errors, -1) @ behind
    return torch.empty_like(whole).scatter(-1, columns, whole)
