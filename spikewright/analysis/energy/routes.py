"""Which operation does what to events, and which layer it is charged to."""

from __future__ import annotations

import operator

import torch

from spikewright.graph import Graph, Kind

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
        elif op.kind is Kind.MAX_POOL or (op.name in wanted and op.target in MOVES):
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
        aten.view.default,
        aten._unsafe_view.default,
        aten.reshape.default,
        aten.expand.default,
        aten.permute.default,
        aten.transpose.int,
        aten.unsqueeze.default,
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.select.int,
        aten.index_select.default,
        aten.slice.Tensor,
        aten.split.Tensor,
        aten.split_with_sizes.default,
        aten.unbind.int,
        aten.flip.default,
        aten.cat.default,
        aten.stack.default,
        aten.pixel_shuffle.default,
        aten.clone.default,
        aten.alias.default,
        aten.detach.default,
        aten._to_copy.default,
        operator.getitem,
    )
)
