"""The parts of a layer's energy, and the layer that takes the most of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikewright.measure.energy import EnergyParts
from spikewright.report.costs import Energies, LayerCosts


@dataclass(frozen=True)
class Part:
    """One part of an energy.

    Attributes:
        field: its field in `EnergyParts`.
        name: its name in figures and tables.
        slot: number of its colour in the style sheet; 0 is that of text.
    """

    field: str
    name: str
    slot: int

    @property
    def colour(self) -> str:
        """The name that the page's script replaces by the theme's colour."""
        return f"$s{self.slot}" if self.slot else "$ink"

    @property
    def css(self) -> str:
        """The style sheet's class of that colour."""
        return self.colour.removeprefix("$")

    def of(self, parts: EnergyParts) -> float:
        """The part's energy in nJ."""
        return getattr(parts, self.field)


COMPUTED = (
    Part("macs_nj", "MACs", 7),
    Part("additions_nj", "synaptic additions", 8),
    Part("shifts_nj", "shifts", 10),
    Part("products_nj", "products", 1),
    Part("neurons_nj", "neuron work", 9),
    Part("draws_nj", "random draws", 2),
    Part("scales_nj", "scaling", 6),
    Part("functions_nj", "neuron functions", 4),
)
"""The parts of the arithmetic."""
MOVED = (Part("weights_nj", "reading weights", 5), Part("states_nj", "potentials", 3))
"""The parts of the memory traffic."""
WITH_MEMORY = (Part("arithmetic_nj", "arithmetic", 0), *MOVED)


@dataclass(frozen=True)
class LargestConsumer:
    """The layer that takes most of a network's energy.

    Attributes:
        layer: the layer.
        energy_nj, total_nj: the energy of the layer and of all layers, in nJ.
        part: what takes most of it there.
        part_share: the part's share of the layer's energy, 0 .. 1.
    """

    layer: LayerCosts
    energy_nj: float
    total_nj: float
    part: Part
    part_share: float

    @property
    def site(self) -> str:
        """The layer's name."""
        return self.layer.operations.site

    @property
    def share(self) -> float:
        """The layer's share of all, 0 .. 1."""
        return share(self.energy_nj, self.total_nj)


def largest_consumer(one: Energies, *, memory: bool) -> LargestConsumer:
    """The layer that takes the most energy, and its largest part; the first of equals.

    Args:
        one: the energies, with at least one layer.
        memory: whether memory traffic counts beside arithmetic.
    """

    def energy(layer: LayerCosts) -> float:
        return layer.energy.snn_with_memory_nj if memory else layer.energy.snn_nj

    top = max(one.layers, key=energy)
    parts = one.model.parts(top.operations.snn)
    main = max((*COMPUTED, *MOVED) if memory else COMPUTED, key=lambda part: part.of(parts))
    return LargestConsumer(
        layer=top,
        energy_nj=energy(top),
        total_nj=one.energy.snn_with_memory_nj if memory else one.energy.snn_nj,
        part=main,
        part_share=share(main.of(parts), energy(top)),
    )


def share(part: float, whole: float) -> float:
    """A fraction; 0 of nothing."""
    return part / whole if whole else 0.0


def present(parts: Sequence[Part], energies: Sequence[EnergyParts]) -> tuple[Part, ...]:
    """The parts that take any energy."""
    return tuple(part for part in parts if any(part.of(one) for one in energies))
