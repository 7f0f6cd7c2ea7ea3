"""SRP: silencing by residual membrane potential (Hao et al., AAAI 2023, arXiv 2302.02091).

A QCFS network is converted as in `qcfs` and run for tau steps. Neurons whose potential is then not
above zero would have fired on spikes that should not have come so early: they are silenced, all
others start anew at theta / 2, and the T steps that count are run. The answer takes tau + T steps.
"""

from spikewright import neurons
from spikewright.calibration import Learned
from spikewright.methods.method import Method

SRP = Method(
    name="srp",
    paper="Hao et al., AAAI 2023, arXiv 2302.02091",
    threshold=Learned(),
    one_phase=neurons.IntegrateFire(v0=0.5),
    neuron=neurons.SRP(tau=4),
)
