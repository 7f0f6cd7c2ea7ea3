"""Spiking neurons: tensors in, spikes out; nothing here knows of a graph.

A neuron is a law (how charge becomes a count) times a code (how a count becomes spikes).
"""

from spikewright.neurons.codes import (
    CODES,
    Binary,
    Code,
    Digits,
    FirstSpike,
    Rate,
    RateOrder,
    code_of,
    codes,
    register_code,
)
from spikewright.neurons.counter_random import Draws, sample_ids_of
from spikewright.neurons.few_spikes import FewSpikes
from spikewright.neurons.few_spikes_table import FewSpikesTable
from spikewright.neurons.integrate_fire import IntegrateFire, Reset
from spikewright.neurons.layer import Layer, LayerLaw
from spikewright.neurons.neuron import (
    Dynamics,
    Neuron,
    StreamingDynamics,
    WaitingDynamics,
)
from spikewright.neurons.offset_spikes import COS
from spikewright.neurons.registry import NEURONS, register, spellings, variants
from spikewright.neurons.residual_silencing import SRP
from spikewright.neurons.rounding import Rounding
from spikewright.neurons.shuffled import Order, Shuffled
from spikewright.neurons.spike_tracer import SpikeTracer
from spikewright.neurons.table_fitting import fitted_table
from spikewright.neurons.two_phase import TPP, TwoPhase
from spikewright.neurons.work import Work

__all__ = [
    "CODES",
    "COS",
    "NEURONS",
    "SRP",
    "TPP",
    "Binary",
    "Code",
    "Digits",
    "Draws",
    "Dynamics",
    "FewSpikes",
    "FewSpikesTable",
    "FirstSpike",
    "IntegrateFire",
    "Layer",
    "LayerLaw",
    "Neuron",
    "Order",
    "Rate",
    "RateOrder",
    "Reset",
    "Rounding",
    "Shuffled",
    "SpikeTracer",
    "StreamingDynamics",
    "TwoPhase",
    "WaitingDynamics",
    "Work",
    "code_of",
    "codes",
    "fitted_table",
    "register",
    "register_code",
    "sample_ids_of",
    "spellings",
    "variants",
]
