"""MinError: the defaults of `convert`.

Thresholds minimise, channel by channel, the squared error of the neuron that runs, at this T; each
channel's mean input is then put back where the ANN had it; neurons are two-phase and round to
nearest.
"""

from spikewright.calibration import InputMeans, MinError
from spikewright.methods.method import Method
from spikewright.neurons import TwoPhase

MINERROR = Method(
    name="minerror",
    paper="this library's default",
    threshold=MinError(per="channel"),
    correction=InputMeans(),
    neuron=TwoPhase("nearest"),
)
