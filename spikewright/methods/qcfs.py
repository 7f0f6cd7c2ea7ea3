"""QCFS: optimal conversion at ultra-low latency (Bu et al., ICLR 2022, arXiv 2303.04347).

The ANN is trained with the activation

    h(x) = lambda / L * clip(floor(x * L / lambda + 1/2), 0, L)

(`spikewright.QCFS`). The spiking network takes lambda as its threshold and starts every
integrate-and-fire neuron at v0 = theta / 2, so that for input that arrives evenly the count is
floor(x + 1/2), clipped to 0..T: the same function when T = L, and by the paper's theorem without
error on average at any T. What is left is unevenness: spikes do not arrive evenly.
"""

from spikewright.calibration import Learned
from spikewright.methods.method import Method
from spikewright.neurons import IntegrateFire

QCFS = Method(
    name="qcfs",
    paper="Bu et al., ICLR 2022, arXiv 2303.04347",
    threshold=Learned(),
    one_phase=IntegrateFire(v0=0.5),
)
