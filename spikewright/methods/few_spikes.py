"""Few spikes: any function of a unit by K steps of a table (Stöckl & Maass, arXiv 2002.00860).

For any trained network: at ReLU a neuron sends the K bits of its charge, cut off; of any other
function of one value it runs K steps of thresholds, resets and weights of their own, which are
fitted to it over what calibration shows it. See `FewSpikes`.

Departures from the paper: see docs/methods/few-spikes.md.
"""

from spikewright.calibration import MinError
from spikewright.methods.method import Method
from spikewright.neurons import FewSpikes

FEW_SPIKES = Method(
    name="few-spikes",
    paper="Stöckl & Maass, Nature Machine Intelligence 2021, arXiv 2002.00860",
    threshold=MinError(per="channel"),
    neuron=FewSpikes(),
)
