"""The layers of an account: which layer an operation is charged to, and what it computes."""

from __future__ import annotations

from collections import Counter

from spikewright.graph import Graph, Kind
from spikewright.graph.rule import rule_of

OUTPUT = "output"
"""The row of what comes after the last site."""


def owners(graph: Graph) -> dict[str, str]:
    """For every operation, the first site that it leads to, or the output."""
    order = {op.name: number for number, op in enumerate(graph.operations)}
    names = {op.name: op.site.name for op in graph.operations if op.site is not None}
    nearest: dict[str, str] = {}
    for op in reversed(graph.operations):
        first = op.name if op.name in names else nearest.get(op.name)
        for source in op.inputs if first is not None else ():
            known = nearest.get(source)
            if known is None or order[first or ""] < order[known]:
                nearest[source] = first or ""
        nearest[op.name] = first or ""
    return {op.name: names.get(nearest[op.name], OUTPUT) for op in graph.operations}


def layer_kinds(graph: Graph) -> dict[str, str]:
    """For every site, and the output, what computes on the way to it.

    Args:
        graph: as captured, batch norm folded.

    Returns:
        Words such as "conv 3×3, 16 → 32, stride 2 + add"; "" where data is only moved.
    """
    charged = owners(graph)
    kinds: dict[str, Counter[str]] = {}
    for op in graph.operations:
        words = "" if op.kind is Kind.CONSTANT or op.site else rule_of(op).words(op, graph)
        if words:
            kinds.setdefault(charged[op.name], Counter())[words] += 1
    return {
        site: " + ".join(f"{n} × {words}" if n > 1 else words for words, n in counted.items())
        for site, counted in kinds.items()
    }
