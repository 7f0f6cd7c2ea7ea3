"""RTS: threshold balancing with a shifted bias (Deng & Gu, ICLR 2021, arXiv 2103.00476).

For a trained ANN with ReLU, or ReLU clipped at a threshold: a layer's firing threshold is the
largest activation that it showed on training data, so nothing clips. Charge that arrives evenly
makes an integrate-and-fire neuron with soft reset round down; the paper's optimum adds

    theta / (2 T)

to the bias, half a spike over the T steps, and it rounds to nearest. The shift belongs to T, so it
is the neuron's, and right at every T.

Departure from the paper: its threshold ReLU is trained with a bound of its own; any ReLU, ReLU6 or
clipped ReLU is taken here as it was trained.
"""

from spikewright.calibration import Maximum
from spikewright.methods.method import Method
from spikewright.neurons import IntegrateFire

RTS = Method(
    name="rts",
    paper="Deng & Gu, ICLR 2021, arXiv 2103.00476",
    threshold=Maximum(per="layer"),
    one_phase=IntegrateFire(v0=0.0, shift=0.5),
)
