"""Which neurons can stand at which units."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.errors import UnsupportedOperation
from spikewright.graph.ir import Graph
from spikewright.graph.offenders import Offender, complaint
from spikewright.neurons import Neuron


def require_units_served(graph: Graph, neurons: Mapping[str, Neuron]) -> None:
    """See that every unit has a neuron that computes it.

    Args:
        graph: with its sites.
        neurons: by site name.

    Raises:
        UnsupportedOperation: listing every unit that its neuron cannot compute.
    """
    offenders: list[Offender] = []
    for op in graph.neurons:
        assert op.site is not None
        neuron = neurons[op.site.name]
        if op.site.rectifies or neuron.takes_any_unit:
            continue
        offenders.append(
            Offender(
                op.operator,
                op.site.name,
                op.source,
                f"the neuron '{neuron.label}' computes ReLU and clips from 0 alone",
                "give a two-phase neuron, such as TwoPhase() (--neuron nearest), or SpikeTracer() "
                "(--neuron tracer), which take any function and send signed spikes",
            )
        )
    if offenders:
        raise UnsupportedOperation(complaint(offenders, "cannot be computed by these neurons"))
