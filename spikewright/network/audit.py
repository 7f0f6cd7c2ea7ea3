"""What an audit finds: what every edge into weights, products, maxima and outputs carries."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Carried(StrEnum):
    """What arrives along an edge."""

    SPIKES = "spikes"
    """At every step 0, 1 or -1, times one scale a channel; of a code whose steps weigh otherwise
    than those of other layers, times what the step counts for."""
    COUNTS = "held counts"
    """At every step a whole number times one scale a channel: a mean of spikes that arrive
    together, or a spike that meets the count of the other factor of a product."""
    CURRENTS = "currents"
    """Sums of weighted spikes: no neuron stands between the weights before and what reads them. A
    second linear operation is part of one sum with the first."""
    INPUT = "input"
    """The network's input, or a linear function of it: numbers, constant or of one frame a step."""
    CONSTANT = "constants"
    """What no signal reaches: constants, and what is made of indices and masks."""
    FLOATS = "floats"
    """Anything else."""


@dataclass(frozen=True)
class Edge:
    """A value on its way to an operation, or out of the network.

    Attributes:
        source: the module path and operation that it comes from, of a unit its site, before it was
            moved about and scaled.
        reader: those of the operation that it arrives at, or the place of an output in the answer.
        role: what reads it: "weights", "product", "max" or "output".
        carries: what was seen to arrive.
        objection: why it should not, or "".
    """

    source: str
    reader: str
    role: str
    carries: Carried
    objection: str = ""

    def __str__(self) -> str:
        return f"{self.source} -> {self.reader}"


@dataclass(frozen=True)
class Audit:
    """Every edge that was looked at while a network ran step by step.

    Attributes:
        edges: in the order in which their readers run; those of outputs are last.
        misfits: lines about operations that are said to be linear, and were seen not to be.
        steps: T.
        samples: how many samples were run.
    """

    edges: tuple[Edge, ...]
    misfits: tuple[str, ...]
    steps: int
    samples: int

    @property
    def objections(self) -> tuple[str, ...]:
        """A line for everything that a spiking network must not do; none where it is clean."""
        edges = (f"{edge} carries {edge.carries}: {edge.objection}" for edge in self.edges)
        wrong = [line for line, edge in zip(edges, self.edges, strict=True) if edge.objection]
        return (*self.misfits, *wrong)

    def carrying(self, *kinds: Carried | str) -> tuple[Edge, ...]:
        """The edges that carry these."""
        return tuple(edge for edge in self.edges if edge.carries in kinds)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        return {
            "steps": self.steps,
            "samples": self.samples,
            "objections": list(self.objections),
            "edges": [asdict(edge) for edge in self.edges],
        }

    def __str__(self) -> str:
        roles = ("weights", "product", "max", "output")
        counts = Counter((edge.carries, edge.role) for edge in self.edges)
        lines = [
            f"What arrives at weights, products, maxima and outputs, seen at T = {self.steps} on "
            f"{self.samples} sample{'s' * (self.samples != 1)}",
            "",
            " " * 12 + "".join(f"{role:>9}" for role in roles),
        ]
        for kind in Carried:
            row = [counts[kind, role] for role in roles]
            if any(row):
                cells = "".join(f"{n or '':>9}" for n in row)
                lines.append(f"{kind:<12}{cells}".rstrip())
        others = [e for e in self.edges if e.carries not in (Carried.SPIKES, Carried.COUNTS)]
        if others:
            lines += ["", "not whole numbers:", *(f"  {e.carries:<10} {e}" for e in others)]
        lines += ["", *(f"objection: {line}" for line in self.objections)]
        return "\n".join(lines) if self.objections else "\n".join([*lines, "no objections"])
