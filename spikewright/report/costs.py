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
        snn_nj, snn_integer_nj, snn_with_memory_nj: estimated energies of the spiking network in nJ
            (see `measure.Energy`).
        ann_nj, ann_quantised_nj, ann_with_memory_nj: the energies of its source.
        model: energies of single operations, and where they come from.
        layers: the layers in the order in which they run.
    """

    network: str
    steps: int
    latency: int
    accuracy: float | None
    samples: int
    spikes: float
    snn_nj: float
    snn_integer_nj: float
    snn_with_memory_nj: float
    ann_nj: float
    ann_quantised_nj: float
    ann_with_memory_nj: float
    model: EnergyModel
    layers: tuple[LayerCosts, ...]


def energies_of(one: Operations) -> Energies:
    """The energies that counted operations take."""
    total = one.energy
    return Energies(
        network=one.network,
        steps=one.steps,
        latency=one.latency,
        accuracy=one.accuracy,
        samples=one.record.samples,
        spikes=one.total.spikes,
        snn_nj=total.snn_nj,
        snn_integer_nj=total.snn_integer_nj,
        snn_with_memory_nj=total.snn_with_memory_nj,
        ann_nj=total.ann_nj,
        ann_quantised_nj=total.ann_quantised_nj,
        ann_with_memory_nj=total.ann_with_memory_nj,
        model=one.model,
        layers=tuple(LayerCosts(r, energy_of(r, one.levels, one.model)) for r in one.rows),
    )
