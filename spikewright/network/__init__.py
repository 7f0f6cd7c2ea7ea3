"""A converted network: its graph, its two engines, its recordings."""

from spikewright.calibration.design import Design
from spikewright.graph.precision import Precision
from spikewright.network.audit import Audit
from spikewright.network.engine import Engine
from spikewright.network.plan import Observer
from spikewright.network.saving import load
from spikewright.network.spiking_network import SpikingNetwork
from spikewright.network.trajectory import Trajectory

__all__ = [
    "Audit",
    "Design",
    "Engine",
    "Observer",
    "Precision",
    "SpikingNetwork",
    "Trajectory",
    "load",
]
