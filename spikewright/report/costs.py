"""What a network costs at one T, layer by layer, as pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.measure import Energy, EnergyModel, Operations, OperationsRow
from spikewright.measure.energy.estimate import energy_of


@dataclass(frozen=True)
class LayerCosts:
    """What one layer costs for the mean sample.

    Attributes:
        operations: the operations of the spiking network and of its source.
        energy: the energy estimated from them.
    """

    operations: OperationsRow
    energy: Energy


@dataclass(frozen=True)
class Energies:
    """What one network at one T costs for the mean sample.

    Attributes:
        network: label of its neurons.
        steps: T.
        latency: time steps from the first input to the answer, unpipelined.
        accuracy: fraction of samples right; None without labels.
        samples: how many samples were counted.
        spikes: spikes of all layers for one sample.
        energy: the energies of the spiking network and of its source, estimated.
        model: energies of single operations, and where they come from.
        layers: the layers in the order in which they run.
    """

    network: str
    steps: int
    latency: int
    accuracy: float | None
    samples: int
    spikes: float
    energy: Energy
    model: EnergyModel
    layers: tuple[LayerCosts, ...]


def energies_of(one: Operations) -> Energies:
    """The energies that counted operations take."""
    return Energies(
        network=one.network,
        steps=one.steps,
        latency=one.latency,
        accuracy=one.accuracy,
        samples=one.record.samples,
        spikes=one.total.spikes,
        energy=one.energy,
        model=one.model,
        layers=tuple(LayerCosts(r, energy_of(r, one.model)) for r in one.rows),
    )
