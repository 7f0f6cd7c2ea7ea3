"""The eigenvalues of a layer's integration, and the time constants that they stand for."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.errors import ModelError
from spikewright.intrinsic.firing import EscapeNoise
from spikewright.intrinsic.layer import Hears, SelfConnectedLayer


def integration_matrix(layer: SelfConnectedLayer) -> Tensor:
    """How potentials go on where no neuron spikes: `u[t] = M u[t-1] + (1 - alpha) (W x[t] + b)`.

        M = diag(alpha) + diag(1 - alpha) V

    V are the connections that carry potentials. Without any, M has the eigenvalues
    exp(-1 / tau); in continuous time the matrix is (V - 1) / tau.

    Returns:
        M `[H, H]`, with gradients.

    Source: Zhang et al., arXiv 2207.04876: the membrane time and self-connections set the
    eigenvalues of the integration.

    Example:
        >>> layer = SelfConnectedLayer(1, 1, time_constant=(10.0, 0.0))
        >>> round(mode_time_constants(integration_matrix(layer)).item(), 3)
        10.0
    """
    alpha = layer.decay
    return torch.diag(alpha) + (1 - alpha)[:, None] * layer.matrix(Hears.POTENTIALS)


def mean_matrix(layer: SelfConnectedLayer, distance: Tensor) -> Tensor:
    """How the mean potential goes on about a point, where neurons fire by chance.

        M + (diag(1 - alpha) V_s - diag(theta)) diag(dP / du)

    Here connections that carry spikes, V_s, and the reset come in. It is exact where P is straight
    over the potentials that occur: for wide noise, near the threshold.

    Args:
        layer: with `EscapeNoise`.
        distance: of the mean potential from the threshold, `[H]`.

    Returns:
        `[H, H]`.

    Raises:
        ModelError: for a layer that fires at a threshold, or a distance of another shape.
    """
    if not isinstance(layer.firing, EscapeNoise):
        raise ModelError(
            "the mean potential has a matrix where neurons fire by chance; give the layer "
            "firing=EscapeNoise(...)"
        )
    if distance.shape != (layer.units,):
        raise ModelError(f"distance is [H] = ({layer.units},), got {tuple(distance.shape)}")
    reset = torch.diag(torch.full_like(distance, layer.threshold))
    passed = (1 - layer.decay)[:, None] * layer.matrix(Hears.SPIKES) - reset
    return integration_matrix(layer) + passed * layer.firing.slope(distance)


def mode_time_constants(matrix: Tensor) -> Tensor:
    """The time constants of a matrix's modes, in steps: `-1 / log |lambda|`.

    A mode falls to 1/e in that time. It grows where the time constant is below 0, and neither grows
    nor falls where it is infinite.

    Args:
        matrix: `[H, H]`, of one time step.

    Returns:
        `[H]`, in the order of torch.linalg.eigvals.

    Example:
        >>> mode_time_constants(torch.tensor([[0.5, 0.0], [0.0, 2.0]])).sort().values
        tensor([-1.4427,  1.4427])
    """
    return -1 / torch.linalg.eigvals(matrix).abs().log()
