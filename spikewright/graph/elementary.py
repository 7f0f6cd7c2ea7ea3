"""Softmax and norms built from units that read one charge each.

A group unit reads the charges of its whole group: of a softmax's row, say. Hardware whose neurons
read their own charge alone computes the same from exponentials, squares, reciprocals, roots,
products, maxima and sums, each a layer of units or linear:

    softmax      e = exp(x - max(x)),  e * (1 / sum(e))
    norm         d = x - mean(x),      d * rsqrt(mean(d^2) + eps)

That takes more layers of units and more time, and every one of them rounds. How a group function is
written is in its rule.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from spikewright.errors import ConversionError
from spikewright.graph.composites import Page
from spikewright.graph.ir import Graph
from spikewright.graph.offenders import Offender, offender
from spikewright.graph.rule import rule_of

_OBJECTION = (
    "it is a function of several charges that is not built from units of one each; leave "
    "units='elementary' out"
)


class Units(StrEnum):
    """What the units of a network may be functions of."""

    GROUP = "group"
    """Of one charge, or of all charges of a group: softmax and norms are one unit each."""
    ELEMENTARY = "elementary"
    """Of one charge each."""

    @classmethod
    def named(cls, name: Units | str) -> Units:
        """The member of a name.

        Raises:
            ConversionError: for another name.
        """
        try:
            return cls(name)
        except ValueError:
            raise ConversionError(f"units must be 'group' or 'elementary', got {name!r}") from None


def in_elementary_units(graph: Graph) -> tuple[Graph, tuple[Offender, ...]]:
    """The same network, every group unit written as units of one charge each.

    Args:
        graph: with fused units of one charge each, without relays.

    Returns:
        The network, and the group units that cannot be written so.
    """
    page, offenders = Page(graph), list[Offender]()
    for op in graph.operations:
        if op.site is None or op.site.group == 1:
            page.operations.append(op)
        elif not page.write(op, rule_of(op).elementary):
            offenders.append(offender(op, op.operator, _OBJECTION))
    written = replace(graph, operations=tuple(page.operations), tensors=page.tensors).pruned()
    return written, tuple(offenders)
