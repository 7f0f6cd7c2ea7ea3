"""Bits: spikes that are the bits of the count, in log2 of the steps (Datta et al., TMLR 2025).

A QCFS network of L = 2**T - 1 levels is converted to neurons that take in the whole of their input
and then send the T bits of their count, the first worth 2**(T - 1). Their counts are the ANN's own
levels: nothing is lost. `methods.finetune.Bits` lowers the number of spikes.
"""

from spikewright.calibration import Learned, MinError
from spikewright.methods.method import Method
from spikewright.neurons import IntegrateFire, TwoPhase

BITS = Method(
    name="bits",
    paper="Datta et al., TMLR 2025, arXiv 2312.06900",
    threshold=Learned(otherwise=MinError()),
    one_phase=IntegrateFire(v0=0.5),
    neuron=TwoPhase("nearest", "binary"),
)
