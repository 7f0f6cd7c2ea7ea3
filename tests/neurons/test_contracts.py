"""Every registered neuron and code keeps the contract."""

from __future__ import annotations

from spikewright.neurons import codes, variants
from tests.contracts import CodeContract, NeuronContract


class TestNeurons(NeuronContract):
    neurons = variants()


class TestCodes(CodeContract):
    codes = tuple(codes().values())
