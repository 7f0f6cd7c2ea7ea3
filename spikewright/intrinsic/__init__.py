"""Intrinsic structures: self-connections and stochastic firing of leaky neurons.

Zhang, Chen, Wu, Zhang, Xiong, Gu, Zhou, "On the Intrinsic Structures of Spiking Neural Networks",
arXiv 2207.04876.
"""

from spikewright.intrinsic.eigenvalues import (
    integration_matrix,
    mean_matrix,
    mode_time_constants,
)
from spikewright.intrinsic.firing import Escape, EscapeNoise
from spikewright.intrinsic.layer import Form, Hears, SelfConnectedLayer, SelfConnection, Trace

__all__ = [
    "Escape",
    "EscapeNoise",
    "Form",
    "Hears",
    "SelfConnectedLayer",
    "SelfConnection",
    "Trace",
    "integration_matrix",
    "mean_matrix",
    "mode_time_constants",
]
