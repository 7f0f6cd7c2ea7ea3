"""The number formats of weights that meet spikes."""

from __future__ import annotations

from enum import StrEnum

from spikewright.errors import ConversionError


class Precision(StrEnum):
    """The number format of weights that meet spikes, and of the currents they make."""

    FLOAT32 = "float32"
    """The model's own precision: float64 stays float64, a bfloat16 model runs as `BF16`, a float16
    model in float32, since charges, counts and sums over time need more than 16 bits."""
    BF16 = "bf16"
    """bfloat16, which holds spikes, and counts up to 256, exactly. Weights that meet them are
    rounded to 8 significant bits, and so is each layer's input current: counts differ from those of
    float32 where a charge lies within some 2**-8 of itself from a decision boundary. Biases, sums
    of branches, neurons, the first layer (its input is no spikes) and what reads averages stay as
    they are. Beyond T = 256 the count engine computes in float32."""

    INT8 = "int8"
    """Weights that meet spikes in 8 bits, those of an output channel in one unit: whole numbers up
    to 127 times a 127th of the largest. Their sums over spikes are whole numbers too, in 32 bits.
    Biases, sums of branches, neurons, the first layer and what reads averages stay as they are."""

    @classmethod
    def named(cls, name: Precision | str) -> Precision:
        """The precision of a name.

        Raises:
            ConversionError: for another name.
        """
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(repr(str(precision)) for precision in cls)
            raise ConversionError(f"precision must be one of {known}, got {name!r}") from None
