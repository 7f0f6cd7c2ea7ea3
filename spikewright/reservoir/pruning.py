"""Pruning a recurrent network: which edges stay, and how strong they are then.

Noise-driven pruning keeps an edge with a probability that its weight and the covariance of its two
neurons under noise set (Moore and Chaudhuri, "Using noise to probe recurrent neural network
structure and prune synapses", NeurIPS 2020, arXiv 2011.07334). It is the step of Lyapunov Noise
Pruning that removes synapses (Chakraborty et al., ICLR 2024, arXiv 2403.03409; 2407.06452).
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.neurons import Draws
from spikewright.reservoir.network import Reservoir


def noise_covariance(
    reservoir: Reservoir,
    *,
    noise: float = 0.1,
    steps: int = 400,
    runs: int = 64,
    washout: int = 100,
    seed: int = 0,
) -> Tensor:
    """The covariance of the potentials while noise alone drives a reservoir, `[H, H]`.

    Args:
        reservoir: what is driven; its input is 0.
        noise: standard deviation of what is added to every potential at every step, above 0.
        steps: how many are counted, at least 2.
        runs: how many of them beside each other, at least 1.
        washout: how many steps go before them, at least 0.
        seed: of the noise.

    Raises:
        AnalysisError: for a number out of its range.
    """
    if not (noise > 0 and steps >= 2 and runs >= 1 and washout >= 0):
        raise AnalysisError(
            "noise must be above 0, steps at least 2, runs at least 1 and washout at least 0, got "
            f"{noise}, {steps}, {runs} and {washout}"
        )
    draw = torch.Generator().manual_seed(seed)
    shape = (washout + steps, runs, reservoir.neurons)
    kicks = noise * torch.randn(shape, generator=draw, dtype=reservoir.weights.dtype, device="cpu")
    kicks = kicks.to(reservoir.weights.device)
    driven = reservoir.run(kicks.new_zeros(shape[:2]), kicks)
    return torch.cov(driven.potentials[washout:].flatten(0, 1).T)


def noise_importance(weights: Tensor, covariance: Tensor) -> Tensor:
    """How much the dynamics depend on each edge, by noise-driven covariance.

        |w_ij| (C_ii + C_jj - 2 C_ij) where w_ij > 0,  |w_ij| (C_ii + C_jj + 2 C_ij) where w_ij < 0

    An edge that excites is redundant where its neurons vary together anyway, one that inhibits
    where they vary against each other.

    Args:
        weights: w `[H, H]`, from column to row, as the state of one step enters that of the next:
            of a reservoir, its `felt_weights`.
        covariance: C `[H, H]` of the state under noise, as from `noise_covariance`.

    Returns:
        Importances `[H, H]`, at least 0; 0 where there is no edge.

    Raises:
        AnalysisError: for a covariance of another shape.

    Source: Moore and Chaudhuri, arXiv 2011.07334.

    Example:
        >>> weights = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        >>> noise_importance(weights, torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
        tensor([[0., 1.],
                [3., 0.]])
    """
    if weights.ndim != 2 or covariance.shape != weights.shape:
        raise AnalysisError(
            "weights and covariance are [H, H] each, got "
            f"{tuple(weights.shape)} and {tuple(covariance.shape)}"
        )
    own = covariance.diagonal()
    spread = own[:, None] + own - 2 * weights.sign() * covariance
    return weights.abs() * spread.clamp(min=0)


def keep_probabilities(importance: Tensor, kept: float) -> Tensor:
    """The probability of each edge to stay, `min(1, K importance)`, with K for the share wanted.

    Args:
        importance: `[H, H]`, at least 0; 0 where there is no edge.
        kept: the mean share of the edges that stay, above 0 and at most 1.

    Returns:
        Probabilities `[H, H]` that sum to `kept` times the number of edges.

    Raises:
        AnalysisError: for a share out of its range, or an importance below 0.

    Example:
        >>> keep_probabilities(torch.tensor([[0.0, 1.0], [3.0, 100.0]]), 0.5)
        tensor([[0.0000, 0.1250],
                [0.3750, 1.0000]])
    """
    if not 0 < kept <= 1:
        raise AnalysisError(f"kept must be above 0 and at most 1, got {kept}")
    if not bool((importance >= 0).all()):
        raise AnalysisError("importances of edges must be numbers of at least 0")
    values = importance[importance > 0].sort(descending=True).values
    if not len(values):
        return torch.zeros_like(importance)
    # With the m most important edges certain, the others share the rest: K = (wanted - m) / sum.
    rest = values.flip(0).cumsum(0).flip(0)
    certain = torch.arange(len(values), dtype=values.dtype, device=values.device)
    scales = (kept * len(values) - certain) / rest
    m = min(int((scales * values > 1).sum()), len(values) - 1)
    return (importance * scales[m]).clamp(max=1)


def sampled_edges(weights: Tensor, probability: Tensor, seed: int) -> Tensor:
    """Keep each edge by chance, and make it stronger by what it had to be lucky: w / p.

    So the mean over all draws is the matrix itself.

    Args:
        weights: `[H, H]`.
        probability: `[H, H]`, in 0 .. 1, from `keep_probabilities`.
        seed: of the draws, which are the library's own: no generator gives the same numbers.

    Returns:
        The pruned weights `[H, H]`.

    Raises:
        AnalysisError: for probabilities of another shape or range.
    """
    if probability.shape != weights.shape or not bool(
        ((probability >= 0) & (probability <= 1)).all()
    ):
        raise AnalysisError(
            f"probabilities in 0 .. 1 of the shape of the weights, {tuple(weights.shape)}, are "
            f"needed, got {tuple(probability.shape)}"
        )
    draws = Draws(seed, "edges", torch.zeros(1, dtype=torch.int64, device=weights.device))
    stays = draws.uniform(0, (1, *weights.shape))[0] < probability
    return torch.where(stays, weights / probability, 0.0)


def strongest_edges(weights: Tensor, kept: float) -> Tensor:
    """Keep the edges of the largest weights as they are: magnitude pruning.

    Args:
        weights: `[H, H]`.
        kept: the share of the edges that stay, above 0 and at most 1.

    Returns:
        The pruned weights `[H, H]`.

    Raises:
        AnalysisError: for a share out of its range.

    Example:
        >>> strongest_edges(torch.tensor([[0.0, 3.0], [-4.0, 1.0]]), 0.67)
        tensor([[ 0.,  3.],
                [-4.,  0.]])
    """
    if not 0 < kept <= 1:
        raise AnalysisError(f"kept must be above 0 and at most 1, got {kept}")
    count = round(kept * int(torch.count_nonzero(weights)))
    order = weights.abs().flatten().argsort(descending=True, stable=True)
    stays = torch.zeros_like(order, dtype=torch.bool)
    stays[order[:count]] = True
    return torch.where(stays.view_as(weights), weights, 0.0)
