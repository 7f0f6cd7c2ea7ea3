"""Which operation does what to events, and which layer it is charged to."""

from __future__ import annotations

import torch

from spikewright.graph import Graph, Kind
from spikewright.graph.operations import REARRANGING

aten = torch.ops.aten
OUTPUT = "output"
"""The row of what comes after the last site."""


def owners(graph: Graph) -> dict[str, str]:
    """For every operation, the first site that it leads to, or the output."""
    order = {op.name: number for number, op in enumerate(graph.operations)}
    names = {op.name: op.site.name for op in graph.operations if op.site is not None}
    nearest: dict[str, str] = {}
    for op in reversed(graph.operations):
        found = nearest.get(op.name)
        if op.name in names:
            found = op.name
        for source in op.inputs if found is not None else ():
            known = nearest.get(source)
            if known is None or order[found or ""] < order[known]:
                nearest[source] = found or ""
        nearest[op.name] = found or ""
    return {op.name: names.get(nearest[op.name], OUTPUT) for op in graph.operations}


def pooled_sites(graph: Graph) -> frozenset[str]:
    """Sites whose counts a max pool asks for, by name."""
    wanted: set[str] = set()
    found: set[str] = set()
    for op in reversed(graph.operations):
        if op.site is not None:
            if op.name in wanted:
                found.add(op.site.name)
        elif op.kind is Kind.MAX or (op.name in wanted and op.target in MOVES):
            wanted.update(op.inputs)
    return frozenset(found)


SUMS = frozenset(
    (aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar, aten.rsub.Scalar)
)
FACTORS = frozenset(
    (
        aten.mul.Tensor,
        aten.mul.Scalar,
        aten.div.Tensor,
        aten.div.Scalar,
        aten.addcmul.default,
    )
)
REDUCTIONS = frozenset((aten.mean.dim, aten.sum.dim_IntList))
PADS = frozenset((aten.constant_pad_nd.default, aten.pad.default))
MOVES = frozenset(
    (
        *PADS,
        *REARRANGING,
        aten.index_select.default,
        aten.unbind.int,
        aten.cat.default,
        aten.stack.default,
        aten.pixel_shuffle.default,
        aten._to_copy.default,
    )
)
