"""The same counts written in other spikes: what each code costs at equal accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from spikewright.devices import cpu_by_default
from spikewright.errors import AnalysisError
from spikewright.measure.energy.counting import counted
from spikewright.measure.energy.estimate import HOROWITZ_45NM, EnergyModel
from spikewright.measure.energy.results import Operations
from spikewright.measure.energy.written import Written
from spikewright.measure.tables import aligned
from spikewright.network import Engine, SpikingNetwork
from spikewright.neurons import Code, Neuron, TwoPhase, code_of

COMPARED = ("random", "burst", "binary", "first-spike")


@cpu_by_default()
def code_costs(
    network: SpikingNetwork,
    data: Iterable[Any],
    steps: int | None = None,
    *,
    codes: Sequence[Code | str] = COMPARED,
    seed: int = 0,
    model: EnergyModel = HOROWITZ_45NM,
    event_value: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Operations, ...]:
    """Operations of a two-phase network under several codes, from one simulation.

    A count does not depend on how it is written in spikes, so accuracy is the same by construction;
    spikes, steps and energy are not. Every code takes the fewest time steps in which it counts as
    far as the network does: for a network of T = 15 in random order, 15 steps, of which the binary
    code needs 4.

    Args:
        network: one of two-phase neurons.
        data, steps, seed, model, event_value, progress: as in `operations`.
        codes: the codes to compare, by name or as objects.

    Returns:
        One result a code, in their order.

    Raises:
        AnalysisError: for neurons that are not two-phase, a code that rounds counts, and where
            `operations` raises it.
        ValueError: for an unknown code.
    """
    steps = network.steps if steps is None else steps
    levels = network.plan(steps).levels
    written: list[Written] = []
    for code in exact_codes(codes):
        neurons: dict[str, Neuron] = {}
        longest = code.steps_for(max(levels.values()))
        for site in network.neurons:
            neuron = two_phase_at(network, site)
            own = code.steps_for(levels[site])
            neurons[site] = replace(neuron, code=code, steps=None if own == longest else own)
        written.append(Written(neurons, longest))
    results = counted(
        network, data, steps, written, seed=seed, engine=Engine.COUNTS, model=model,
        event_value=event_value, progress=progress,
    )  # fmt: skip
    return tuple(results)


def exact_codes(codes: Sequence[Code | str]) -> tuple[Code, ...]:
    """The codes that were named, each of which writes any count as it is.

    Raises:
        AnalysisError: naming one that does not.
        ValueError: for an unknown code.
    """
    found = tuple(map(code_of, codes))
    for code in found:
        if not code.carries_all:
            raise AnalysisError(
                f"the code '{code.name}' rounds counts to what it says, so that the answers would "
                f"be others: leave it out, or convert with TwoPhase('nearest', '{code.name}')"
            )
    return found


def two_phase_at(network: SpikingNetwork, site: str) -> TwoPhase:
    """The neuron of a site, whose code can be chosen.

    Raises:
        AnalysisError: where it is not two-phase, or its counts are only those of its own code.
    """
    neuron = network.neurons[site]
    if not isinstance(neuron, TwoPhase):
        raise AnalysisError(
            f"'{neuron.label}' at {site} has no code to choose: convert with "
            "TwoPhase(...), or count it by operations(network, data)"
        )
    if not code_of(neuron.code).carries_all:
        raise AnalysisError(
            f"the counts of '{neuron.label}' at {site} are rounded to what its code says, so that "
            "no other code writes them: convert with another one, or count it by "
            "operations(network, data)"
        )
    return neuron


def code_table(results: Sequence[Operations]) -> str:
    """Results side by side: accuracy, spikes, steps and energy.

    Args:
        results: one a code, at least one.
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
    for one in results:
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
        cells = [f"{number:,.0f}" for number in (*counts, *energies)]
        lines.append([one.network, str(one.steps), accuracy, *cells])
    return "\n".join(aligned(lines))
