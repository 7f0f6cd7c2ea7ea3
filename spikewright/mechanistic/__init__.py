"""Linear differential equations as layers: whole trajectories in linear time, with gradients.

Chen, Yao, Pervez, Alistarh, Locatello, "Scalable Mechanistic Neural Networks", ICLR 2025,
arXiv 2410.06074. The membrane of a leaky neuron is such an equation.
"""

from spikewright.mechanistic.blocks import Blocks
from spikewright.mechanistic.discovery import Discovered, discover
from spikewright.mechanistic.gradients import least_squares
from spikewright.mechanistic.leaky import membrane, simulated_membrane
from spikewright.mechanistic.solver import ODESolver

__all__ = [
    "Blocks",
    "Discovered",
    "ODESolver",
    "discover",
    "least_squares",
    "membrane",
    "simulated_membrane",
]
