"""Spiking neurons: tensors in, spikes out; nothing here knows of a graph."""

from spikewright.neurons.counter_random import Draws, sample_ids_of
from spikewright.neurons.emission import Emission
from spikewright.neurons.integrate_fire import IntegrateFire, Reset
from spikewright.neurons.neuron import (
    Dynamics,
    Layer,
    LayerLaw,
    Neuron,
    StreamingDynamics,
    WaitingDynamics,
)
from spikewright.neurons.residual_silencing import SRP
from spikewright.neurons.rounding import Rounding
from spikewright.neurons.shuffled import Order, Shuffled
from spikewright.neurons.two_phase import TPP, TwoPhase

__all__ = [
    "SRP",
    "TPP",
    "Draws",
    "Dynamics",
    "Emission",
    "IntegrateFire",
    "Layer",
    "LayerLaw",
    "Neuron",
    "Order",
    "Reset",
    "Rounding",
    "Shuffled",
    "StreamingDynamics",
    "TwoPhase",
    "WaitingDynamics",
    "sample_ids_of",
]
