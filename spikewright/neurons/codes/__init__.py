"""Codes: how a count becomes spikes. A new code is one file here, imported below."""

from spikewright.neurons.codes.binary import Binary
from spikewright.neurons.codes.code import CODES, Code, Writer, code_of, codes, register_code
from spikewright.neurons.codes.digits import Digits
from spikewright.neurons.codes.first_spike import FirstSpike
from spikewright.neurons.codes.rate import Rate, RateOrder

__all__ = [
    "CODES",
    "Binary",
    "Code",
    "Digits",
    "FirstSpike",
    "Rate",
    "RateOrder",
    "Writer",
    "code_of",
    "codes",
    "register_code",
]
