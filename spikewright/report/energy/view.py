"""What a page shows of the energies of layers: a panel for every network and T."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikewright.measure.energy.counts import summed
from spikewright.report.compare.points import Source, first_of_run
from spikewright.report.costs import Energies
from spikewright.report.energy.bars import layer_bars
from spikewright.report.energy.explanations import details, headline
from spikewright.report.energy.parts import COMPUTED, WITH_MEMORY, largest_consumer, present, share
from spikewright.report.environment import Figures


def energy_view(sources: Sequence[Source], figures: Figures) -> dict[str, Any]:
    """The energies of layers of all runs that were asked for them.

    Returns:
        `groups`, a panel for every network and T, by run; `largest_consumers`, the layers that take
        most, side by side.
    """
    measured = [source for source in sources if first_of_run(source) and source.run.energies]
    panels = [
        (source, [_panel(source, one, n, figures) for n, one in enumerate(source.run.energies, 1)])
        for source in measured
    ]
    return {
        "groups": panels,
        "largest_consumers": [
            (source, p["one"], p["with_memory"], p["computed"])
            for source, own in panels
            for p in own
        ],
    }


def _panel(source: Source, one: Energies, number: int, figures: Figures) -> dict[str, Any]:
    energies = [
        one.model.parts(counts)
        for layer in one.layers
        for counts in (layer.operations.snn, layer.operations.ann)
    ]
    total = summed(layer.operations for layer in one.layers)
    return {
        "id": f"energy-{source.mark}-{number}",
        "one": one,
        "headline": headline(one),
        "details": details(one),
        "with_memory": largest_consumer(one, memory=True),
        "computed": largest_consumer(one, memory=False),
        "arithmetic_parts": present(COMPUTED, energies),
        "memory_parts": present(WITH_MEMORY, energies),
        "arithmetic": figures.add(layer_bars(one, COMPUTED, "nJ an image, arithmetic")),
        "memory": figures.add(layer_bars(one, WITH_MEMORY, "nJ an image, with memory")),
        "rows": [
            (layer, share(layer.energy.snn_with_memory_nj, one.energy.snn_with_memory_nj))
            for layer in one.layers
        ],
        "total": total,
    }
