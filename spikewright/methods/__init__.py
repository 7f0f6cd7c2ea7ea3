"""Published conversion methods by name, each a choice of neuron, threshold and correction."""

from spikewright.errors import ConversionError
from spikewright.methods.auto import AUTO
from spikewright.methods.bits import BITS
from spikewright.methods.cos import COS
from spikewright.methods.few_spikes import FEW_SPIKES
from spikewright.methods.ltb import LTB
from spikewright.methods.method import Method
from spikewright.methods.minerror import MINERROR
from spikewright.methods.qcfs import QCFS
from spikewright.methods.refit import REFIT
from spikewright.methods.rts import RTS
from spikewright.methods.snnc import SNNC
from spikewright.methods.srp import SRP
from spikewright.methods.ttfs import TTFS

METHODS = {
    method.name: method
    for method in (
        *(QCFS, RTS, SNNC, LTB, SRP, COS, BITS, TTFS, FEW_SPIKES),
        *(MINERROR, REFIT, AUTO),
    )
}
"""Every method, by name."""


def named(name: str) -> Method:
    """The method of that name.

    Raises:
        ConversionError: when there is none.
    """
    if name not in METHODS:
        raise ConversionError(f"there is no method '{name}'; give one of {', '.join(METHODS)}")
    return METHODS[name]


__all__ = [
    "AUTO",
    "BITS",
    "COS",
    "FEW_SPIKES",
    "LTB",
    "METHODS",
    "MINERROR",
    "QCFS",
    "REFIT",
    "RTS",
    "SNNC",
    "SRP",
    "TTFS",
    "Method",
    "named",
]
