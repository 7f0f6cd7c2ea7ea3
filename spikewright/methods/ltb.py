"""LTB: local threshold balancing (Bu, Li, Yu, CVPR 2025, arXiv 2409.03368).

For any trained ReLU network, without training: every channel's threshold descends on the squared
error of what it clips (see `LocalBalance`), and integrate-and-fire neurons with soft reset start at
theta / 2.

Departures from the paper: maxima of max pooling are exact here, where the paper pools before the
neuron; answers are means over all T steps, where its delayed evaluation leaves out the first ones.
"""

from spikewright.calibration import LocalBalance
from spikewright.methods.method import Method
from spikewright.neurons import IntegrateFire

LTB = Method(
    name="ltb",
    paper="Bu et al., CVPR 2025, arXiv 2409.03368",
    threshold=LocalBalance(rounds=4000, rate=1.0, per="channel"),
    one_phase=IntegrateFire(v0=0.5),
)
