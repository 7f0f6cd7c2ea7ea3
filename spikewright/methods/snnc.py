"""SNNC: calibration without gradients (Li et al., ICML 2021, arXiv 2106.06984).

For any trained ReLU network: thresholds minimise the squared error that rounding and clipping make
at this T; then, layer after layer, the bias of every channel and the initial potential of every
neuron make up for the mean error that is left (see `OutputMeans`). Neurons have the bias shift
theta / (2 T) of RTS.

Departures from the paper: its light pipeline calibrates the bias and its advanced one the potential
(after the weights); here both are calibrated and no weight is. Its thresholds minimise the error of
rounding down, although its neurons are shifted to round to nearest; here it is the error of the
neuron that runs.
"""

from spikewright.calibration import MinError, OutputMeans
from spikewright.methods.method import Method
from spikewright.neurons import IntegrateFire

SNNC = Method(
    name="snnc",
    paper="Li et al., ICML 2021, arXiv 2106.06984",
    threshold=MinError(per="layer"),
    correction=OutputMeans(bias=True, potential=True),
    one_phase=IntegrateFire(v0=0.0, shift=0.5),
)
