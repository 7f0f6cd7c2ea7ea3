"""MinError: thresholds of the least error, one of those that `auto`, the default, chooses from.

Thresholds minimise, channel by channel, the squared error of the neuron that runs, at this T; each
channel's mean input is then put back where the ANN had it; neurons are two-phase and round to
nearest.
"""

from spikewright.calibration import InputMeans, MinError
from spikewright.methods.method import Method
from spikewright.neurons import TwoPhase

MINERROR = Method(
    name="minerror",
    paper="this library's own",
    threshold=MinError(per="channel"),
    correction=InputMeans(),
    neuron=TwoPhase("nearest"),
)
