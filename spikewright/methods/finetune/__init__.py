"""Published methods of fine-tuning by name, each a loss, a surrogate gradient and a schedule."""

from spikewright.errors import ConversionError
from spikewright.methods.finetune.bits import Bits
from spikewright.methods.finetune.distil import Distil
from spikewright.methods.finetune.dsr import DSR
from spikewright.methods.finetune.method import FineTuning, Stage
from spikewright.methods.finetune.nq import NQ
from spikewright.methods.finetune.tandem import Tandem

FINE_TUNINGS: dict[str, type[FineTuning]] = {
    method.name: method for method in (Distil, DSR, Tandem, Bits, NQ)
}
"""Every method, by name."""


def named(name: str) -> type[FineTuning]:
    """The method of that name.

    Raises:
        ConversionError: when there is none.
    """
    if name not in FINE_TUNINGS:
        raise ConversionError(
            f"there is no fine-tuning '{name}'; give one of {', '.join(FINE_TUNINGS)}"
        )
    return FINE_TUNINGS[name]


__all__ = [
    "DSR",
    "FINE_TUNINGS",
    "NQ",
    "Bits",
    "Distil",
    "FineTuning",
    "Stage",
    "Tandem",
    "named",
]
