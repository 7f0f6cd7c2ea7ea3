"""A score of networks that were not trained: how differently they answer different inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.search.network import MotifNetwork


def dissimilarities(spikes: Tensor) -> Tensor:
    """The representational dissimilarity matrix of a population.

        D[i, j] = 1 - correlation of r[i] and r[j],    r[i] = spikes of every neuron for sample i

    Args:
        spikes: `[T, B, ...]`; r are their sums over T.

    Returns:
        `[B, B]`, in 0 .. 2. Where all neurons answer a sample with the same number, as silent ones
        do, there is no correlation: nothing is told apart, and D is 0.

    Raises:
        AnalysisError: for fewer than two samples.

    Source: Kriegeskorte, Mur, Bandettini, Frontiers in Systems Neuroscience 2008.

    Example:
        >>> spikes = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])  # one step, three samples
        >>> dissimilarities(spikes).round().tolist()
        [[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if spikes.ndim < 3 or spikes.shape[1] < 2:
        raise AnalysisError(
            f"dissimilarities are of spikes [T, B, ...] of B >= 2 samples, got "
            f"{tuple(spikes.shape)}"
        )
    counts = spikes.detach().sum(0).flatten(1).double()
    apart = counts - counts.mean(1, keepdim=True)
    norms = apart.norm(dim=1)
    told = norms > 0
    unit = torch.where(told[:, None], apart / norms.clamp(min=1e-300)[:, None], 0.0)
    matrix = (1 - unit @ unit.T).clamp(0, 2)
    matrix[~told] = 0.0
    matrix[:, ~told] = 0.0
    return matrix.fill_diagonal_(0.0)


def dissimilarity_score(network: MotifNetwork, x: Tensor) -> float:
    """The mean dissimilarity of two samples over all populations of a network.

    No labels and no training enter.

    Args:
        network: its weights as they were drawn.
        x: `[T, B, F, H, W]`, B at least 2.

    Returns:
        In 0 .. 2; higher where inputs are told apart more.

    Raises:
        AnalysisError: for fewer than two samples.
        ModelError: for an input of another shape.

    Source: Pan, Zhao, Shen, Han, Zeng, arXiv 2304.10749, which scores by such matrices; correlation
    and mean are our choice.
    """
    with torch.no_grad():
        trains = network.observe(x).spikes
    samples = x.shape[1]
    sums = [float(dissimilarities(train).sum()) for train in trains]
    return sum(sums) / len(sums) / (samples * (samples - 1))
