"""COS: calibrated offset spikes (Hao et al., ICLR 2023, arXiv 2302.10685).

A QCFS network is converted as in `qcfs`. Layer after layer, every neuron rehearses on the first rho
steps of the train that the calibrated layer before it sends; where it sends a spike too many or too
few, its initial potential is lowered or raised by what that spike takes, and the T steps that
count are run from there. A layer must have heard its input before it sends, so the answer comes
after (D + 1) T steps.

Departure from the paper: see docs/methods/cos.md.
"""

from spikewright import neurons
from spikewright.calibration import Learned
from spikewright.methods.method import Method

COS = Method(
    name="cos",
    paper="Hao et al., ICLR 2023, arXiv 2302.10685",
    threshold=Learned(),
    one_phase=neurons.IntegrateFire(v0=0.5),
    neuron=neurons.COS(rho=4),
)
