"""Reservoirs of leaky neurons with time constants of their own: memory, stability and pruning.

Chakraborty, Mukhopadhyay, "Exploiting Heterogeneity in Timescales for Sparse Recurrent Spiking
Neural Networks for Energy-Efficient Edge Computing", arXiv 2407.06452.
"""

from spikewright.reservoir.lyapunov import lyapunov_spectrum, smoothed_jacobians
from spikewright.reservoir.memory import MemoryCapacity, memory_capacity
from spikewright.reservoir.network import (
    Reservoir,
    ReservoirRecipe,
    States,
    draw_reservoir,
    filtered,
)
from spikewright.reservoir.pruning import (
    keep_probabilities,
    noise_covariance,
    noise_importance,
    sampled_edges,
    strongest_edges,
)
from spikewright.reservoir.timescales import Distribution, Gamma, Homogeneous, LogNormal

__all__ = [
    "Distribution",
    "Gamma",
    "Homogeneous",
    "LogNormal",
    "MemoryCapacity",
    "Reservoir",
    "ReservoirRecipe",
    "States",
    "draw_reservoir",
    "filtered",
    "keep_probabilities",
    "lyapunov_spectrum",
    "memory_capacity",
    "noise_covariance",
    "noise_importance",
    "sampled_edges",
    "smoothed_jacobians",
    "strongest_edges",
]
