"""Refit: thresholds of least squared error, and weights by least squares on the spikes they get."""

from spikewright.calibration import MinError, Refit
from spikewright.methods.method import Method
from spikewright.neurons import TwoPhase

REFIT = Method(
    name="refit",
    paper="this library; layer reconstruction of post-training quantisation",
    threshold=MinError(per="channel"),
    correction=Refit(),
    neuron=TwoPhase("nearest"),
)
