"""Which layers cost the energy, and why, in words."""

from __future__ import annotations

from collections.abc import Sequence

from spikewright.measure import OperationsRow
from spikewright.report.costs import Energies, LayerCosts
from spikewright.report.energy.parts import LargestConsumer, largest_consumer
from spikewright.report.summary import percent

MOST_NAMES = 3


def headline(one: Energies) -> str:
    """The layer that takes most, memory included, and what in it.

    Args:
        one: the energies, with at least one layer.
    """
    top = largest_consumer(one, memory=True)
    if not top.total_nj:
        return "No layer takes any energy."
    return (
        f"With memory, {top.site} takes the most: {_of_total(top)}. {percent(top.part_share, 0)} "
        f"of that is for {reason(top)}."
    )


def details(one: Energies) -> tuple[str, ...]:
    """The layer whose arithmetic takes most, and how the layers stand beside the ANN's.

    Args:
        one: the energies, with at least one layer.
    """
    sentences = [_beside_the_ann(one)]
    top = largest_consumer(one, memory=False)
    if top.total_nj:
        same = top.site == largest_consumer(one, memory=True).site
        which = f"it is {top.site} too" if same else f"it is {top.site}"
        sentences.insert(
            0,
            f"By arithmetic alone {which}: {_of_total(top)}, {percent(top.part_share, 0)} of that "
            f"for {reason(top)}.",
        )
    return tuple(sentences)


def reason(top: LargestConsumer) -> str:
    """What the largest part of a layer's energy is, with the number of operations behind it."""
    row, counts = top.layer.operations, top.layer.operations.snn
    field = top.part.field
    if field == "macs_nj":
        return _macs(row)
    if field == "additions_nj":
        return (
            f"its {counts.additions:,.0f} additions, one for every spike that comes and every "
            "connection that it passes"
        )
    if field == "shifts_nj":
        return f"the {counts.shifts:,.0f} shifts by the exponents of spikes"
    if field == "products_nj":
        return (
            f"the {counts.held_additions:,.0f} additions of counts that its products hold, one for "
            "every spike and every neuron of the other signal that it meets"
        )
    if field == "neurons_nj":
        work = counts.updates + counts.comparisons + counts.bias_additions
        owner = f"its {row.neurons:,} neurons" if row.neurons else "the answer"
        return f"the {work:,.0f} updates, comparisons and added constants of {owner}"
    if field == "draws_nj":
        return f"the {counts.draws:,.0f} random draws of its {row.neurons:,} neurons"
    if field == "functions_nj":
        return f"the {counts.evaluations:,.0f} evaluations of {' and '.join(counts.functions)}"
    if field == "scales_nj":
        return (
            f"{counts.scale_multiplications:,.0f} multiplications of spikes by their thresholds, "
            "which no weight could take in"
        )
    if field == "weights_nj":
        return f"reading weights, one for each of its {_readers(row)}"
    return f"reading and writing potentials, for {_writers(row)}"


def _of_total(top: LargestConsumer) -> str:
    return f"{top.energy_nj:,.1f} of {top.total_nj:,.1f} nJ ({percent(top.share, 0)})"


def _macs(row: OperationsRow) -> str:
    if row.snn.input_macs >= row.snn.macs:
        return (
            f"the {row.snn.input_macs:,.0f} MACs on the analogue input, computed once an image "
            "whatever T"
        )
    return f"its {row.snn.macs:,.0f} MACs, on values that are no single spikes"


def _readers(row: OperationsRow) -> str:
    counts = row.snn
    if counts.all_macs > counts.additions:
        return f"{counts.all_macs:,.0f} MACs"
    return f"{counts.additions:,.0f} additions"


def _writers(row: OperationsRow) -> str:
    """Whose work changes potentials: that of the spikes that come, or that of the neurons."""
    counts = row.snn
    work = counts.updates + counts.bias_additions
    if max(counts.additions, counts.held_additions) >= work:
        return f"its {counts.additions + counts.held_additions:,.0f} additions"
    return f"the {work:,.0f} updates of its {row.neurons:,} neurons"


def _beside_the_ann(one: Energies) -> str:
    computed = [e for e in one.layers if e.energy.snn_nj > e.energy.ann_nj]
    moved = [e for e in one.layers if e.energy.snn_with_memory_nj > e.energy.ann_with_memory_nj]
    return (
        f"Layer by layer, the spiking network takes more than the ANN in {_names(computed, one)} "
        f"by arithmetic alone, and in {_names(moved, one)} with memory."
    )


def _names(layers: Sequence[LayerCosts], one: Energies) -> str:
    """The names of these layers where they are few, else how many they are."""
    sites = [layer.operations.site for layer in layers]
    if not sites:
        return "none"
    if len(sites) == len(one.layers):
        return f"all {len(sites)}" if len(sites) > 1 else sites[0]
    if len(sites) > MOST_NAMES:
        return f"{len(sites)} of {len(one.layers)}"
    return " and ".join([", ".join(sites[:-1]), sites[-1]] if len(sites) > 1 else sites)
