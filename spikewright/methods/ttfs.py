"""TTFS: one spike a neuron, whose time is the activation (LC-TTFS, arXiv 2310.14978).

A layer listens to its whole input before it may fire: each spike starts a ramp of its weight's
slope, which runs to the end of the window. In its own window the threshold falls step by step, and
the neuron fires once, when its potential is above it: the earlier, the larger its activation. So
the ANN's activation is mapped to a time without loss, where the ANN has as many levels as the
window has steps (QCFS), and is rounded to nearest elsewhere.
"""

from spikewright.calibration import Learned, MinError
from spikewright.methods.method import Method
from spikewright.neurons import IntegrateFire, TwoPhase

TTFS = Method(
    name="ttfs",
    paper="Yang et al., 2023, arXiv 2310.14978",
    threshold=Learned(otherwise=MinError()),
    one_phase=IntegrateFire(v0=0.5),
    neuron=TwoPhase("nearest", "first-spike"),
)
