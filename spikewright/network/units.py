"""Which neurons can stand at which units."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright.errors import UnsupportedOperation
from spikewright.graph.ir import Graph, Operation
from spikewright.graph.offenders import Offender, complaint
from spikewright.graph.units import applies_function
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
        objection = _objection(op, neuron)
        if objection is None:
            continue
        offenders.append(Offender(op.operator, op.site.name, op.source, *objection))
    if offenders:
        raise UnsupportedOperation(complaint(offenders, "cannot be computed by these neurons"))


def _objection(op: Operation, neuron: Neuron) -> tuple[str, str] | None:
    """Why a neuron cannot compute a unit, and what to do; None where it can."""
    assert op.site is not None
    if op.site.rectifies:
        return None
    if not neuron.takes_any_unit:
        return (
            f"the neuron '{neuron.label}' computes ReLU and clips from 0 alone",
            "give a two-phase neuron, such as TwoPhase() (--neuron nearest), or SpikeTracer() "
            "(--neuron tracer), which take any function and send signed spikes",
        )
    if not neuron.fits_function or not applies_function(op):
        return None
    if op.site.group > 1:
        return (
            f"'{neuron.label}' computes functions of one value, and this is one of "
            f"{op.site.group} values",
            "give a two-phase neuron there, as in neuron={'*': FewSpikes(), "
            f"{op.site.name!r}: TwoPhase('nearest', 'binary')}}, or convert with "
            "units='elementary'",
        )
    if not neuron.fitted_steps:
        return (
            f"'{neuron.label}' was not fitted to this function",
            "conversion fits it: give it to convert(...) instead of with_neuron(...)",
        )
    return None
