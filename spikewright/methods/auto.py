"""Auto: the thresholds and the correction, of several, that serve samples held out best."""

from spikewright.calibration import Auto
from spikewright.methods.method import Method
from spikewright.neurons import TwoPhase

AUTO = Method(
    name="auto",
    paper="this library",
    threshold=None,
    correction=Auto(),
    neuron=TwoPhase("nearest"),
)
