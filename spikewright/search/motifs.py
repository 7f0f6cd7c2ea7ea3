"""Circuit motifs: which populations of neurons excite and which inhibit which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

INPUT = -1
"""The source of a synapse that comes from outside of the motif."""


class Motif(StrEnum):
    """The five motifs, by the circuit that they are named after."""

    FORWARD_EXCITATION = "forward excitation"
    FORWARD_INHIBITION = "forward inhibition"
    FEEDBACK_INHIBITION = "feedback inhibition"
    LATERAL_INHIBITION = "lateral inhibition"
    MUTUAL_INHIBITION = "mutual inhibition"


@dataclass(frozen=True)
class Synapse:
    """One population acts on another.

    Attributes:
        source: the number of the population that sends, from 0; -1 is the motif's input.
        target: that of the population that receives. A source before its target acts within the
            time step, one behind it a step later.
        sign: 1 excites, -1 inhibits.
    """

    source: int
    target: int
    sign: int


def _circuit(*synapses: tuple[int, int, int]) -> tuple[Synapse, ...]:
    return tuple(Synapse(*synapse) for synapse in synapses)


CIRCUITS = {
    Motif.FORWARD_EXCITATION: _circuit((INPUT, 0, 1), (0, 1, 1)),
    Motif.FORWARD_INHIBITION: _circuit((INPUT, 0, 1), (0, 1, 1), (0, 2, 1), (1, 2, -1)),
    Motif.FEEDBACK_INHIBITION: _circuit((INPUT, 0, 1), (0, 1, 1), (1, 0, -1)),
    Motif.LATERAL_INHIBITION: _circuit(
        (INPUT, 0, 1), (INPUT, 1, 1), (0, 2, 1), (1, 2, 1), (2, 0, -1), (2, 1, -1)
    ),
    Motif.MUTUAL_INHIBITION: _circuit((INPUT, 0, 1), (INPUT, 1, 1), (0, 1, -1), (1, 0, -1)),
}
"""The synapses of every motif."""

LONGEST = max(map(len, CIRCUITS.values()))
"""The largest number of synapses of a motif."""


def populations(motif: Motif) -> int:
    """The number of populations of a motif.

    Example:
        >>> populations(Motif.FORWARD_INHIBITION)
        3
    """
    return 1 + max(synapse.target for synapse in CIRCUITS[motif])
