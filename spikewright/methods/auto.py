"""Auto: the thresholds and the correction, of several, that serve samples held out best."""

from spikewright.calibration import Auto, MinError
from spikewright.methods.method import Method
from spikewright.neurons import TwoPhase

AUTO = Method(
    name="auto",
    paper="this library",
    threshold=MinError(per="channel"),
    correction=Auto(),
    neuron=TwoPhase("nearest"),
)
