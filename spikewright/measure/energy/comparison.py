"""The same counts written in other spikes: what each emission costs at equal accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from spikewright.errors import AnalysisError
from spikewright.measure.energy.estimate import HOROWITZ_45NM, EnergyModel
from spikewright.measure.energy.measure import counted
from spikewright.measure.energy.results import Operations, aligned
from spikewright.network import Engine, SpikingNetwork
from spikewright.neurons import Neuron, TwoPhase
from spikewright.neurons.emission import Emission

EMISSIONS = (Emission.RANDOM, Emission.BURST, Emission.BINARY, Emission.FIRST_SPIKE)


def emission_costs(
    network: SpikingNetwork,
    data: Iterable[Any],
    steps: int | None = None,
    *,
    emissions: Sequence[Emission | str] = EMISSIONS,
    seed: int = 0,
    model: EnergyModel = HOROWITZ_45NM,
    event_value: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Operations, ...]:
    """Operations of a two-phase network under every emission, from one simulation.

    A count does not depend on how it is written in spikes, so accuracy is the same by construction;
    spikes, steps and energy are not.

    Args:
        network: of two-phase neurons.
        data, steps, seed, model, event_value, progress: as in `operations`.
        emissions: which.

    Returns:
        One result an emission, in their order.

    Raises:
        AnalysisError: for neurons that are not two-phase, and where `operations` raises it.
    """
    codes: list[dict[str, Neuron]] = []
    for emission in emissions:
        code: dict[str, Neuron] = {}
        for site, neuron in network.neurons.items():
            if not isinstance(neuron, TwoPhase):
                raise AnalysisError(
                    f"'{neuron.label}' at {site} has no emission to choose: convert with "
                    "TwoPhase(...), or count it by operations(network, data)"
                )
            code[site] = replace(neuron, emission=Emission(emission))
        codes.append(code)
    found = counted(
        network, data, steps, codes, seed=seed, engine=Engine.COUNTS, model=model,
        event_value=event_value, progress=progress,
    )  # fmt: skip
    return tuple(found)


def emission_table(found: Sequence[Operations]) -> str:
    """Results side by side: accuracy, spikes, steps and energy.

    Args:
        found: at least one.
    """
    head = ["neuron", "T", "accuracy %", "spikes", "window", "latency", "additions", "MACs"]
    head += [
        "SNN nJ",
        "SNN int8 nJ",
        "SNN+memory nJ",
        "ANN nJ",
        "ANN quantised nJ",
        "ANN+memory nJ",
    ]
    lines = [head]
    for one in found:
        total, energy = one.total, one.energy
        accuracy = "" if one.accuracy is None else f"{100 * one.accuracy:.2f}"
        counts = (total.spikes, one.duration, one.latency, total.snn.additions, total.snn.all_macs)
        energies = (
            energy.snn_nj,
            energy.snn_integer_nj,
            energy.snn_with_memory_nj,
            energy.ann_nj,
            energy.ann_quantised_nj,
            energy.ann_with_memory_nj,
        )
        told = [f"{number:,.0f}" for number in (*counts, *energies)]
        lines.append([one.network, str(one.steps), accuracy, *told])
    return "\n".join(aligned(lines))
