"""Values that hold whole numbers, and the weights that read them in 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from spikewright.graph.affines import with_affines_in_weights
from spikewright.graph.ir import Graph, Kind, Operation, Stored
from spikewright.graph.matrix import MatrixView
from spikewright.graph.rule import rule_of
from spikewright.graph.scales import fold_scales

LARGEST_DIGIT = 127
"""The largest whole number that a weight in 8 bits is."""
LEAST_UNIT = 1.1754943508222875e-38
"""The smallest normal number of float32: the unit of weights that are all 0."""


def whole_numbers(graph: Graph, without: frozenset[str] = frozenset()) -> set[str]:
    """The values that hold whole numbers: what neurons emit, some sites apart, however it moves."""
    whole: set[str] = set()
    for op in graph.operations:
        if op.site is not None or op.kind is Kind.CONSTANT:
            known = op.site is not None and op.site.name not in without
        else:
            known = whole.issuperset(op.inputs) and rule_of(op).keeps_whole_numbers(op, graph)
        if known:
            whole.add(op.name)
    return whole


def reading_whole_numbers(graph: Graph) -> dict[str, tuple[Stored, MatrixView]]:
    """The weights that read nothing but whole numbers, and their matrices, by operation.

    Args:
        graph: from `fold_scales`, so that neurons emit whole numbers.
    """
    whole, found = whole_numbers(graph), dict[str, tuple[Stored, MatrixView]]()
    for op in graph.operations:
        if op.inputs and whole.issuperset(op.inputs):
            weighted = stored_weight(op, graph)
            if weighted is not None:
                found[op.name] = weighted
    return found


def stored_weight(op: Operation, graph: Graph) -> tuple[Stored, MatrixView] | None:
    """The stored weight of an operation, and its matrix; None where it has no such."""
    at = rule_of(op).weight_at
    weight = None if at is None else op.argument(at, "weight")
    if not isinstance(weight, Stored):
        return None
    view = rule_of(op).matrix(op, graph.tensors[weight.name])
    return None if view is None else (weight, view)


def in_bytes(graph: Graph) -> Graph:
    """A graph whose weights that read whole numbers are rounded to 8 bits an output channel.

    Args:
        graph: as for `reading_whole_numbers`.
    """
    return _with_weights(graph, _rounded(reading_whole_numbers(graph)))


def in_bytes_before(graph: Graph, worth: Mapping[str, Tensor]) -> Graph:
    """A graph that computes with values what `in_bytes` of the folded one computes with counts.

    Args:
        graph: scales not folded.
        worth: by site name, what a count of one stands for, placed as its activations are.
    """
    graph = with_affines_in_weights(graph)
    folded = fold_scales(graph, worth)
    found, weights = reading_whole_numbers(folded), dict[str, Tensor]()
    rounded = _rounded(found)
    for op in graph.operations:
        weighted = stored_weight(op, graph) if op.name in found else None
        if weighted is not None:
            exact, own = folded.tensors[found[op.name][0].name], graph.tensors[weighted[0].name]
            share = (rounded[op.name].double() / exact).where(exact != 0, 1.0)
            weights[op.name] = (own * share).to(own.dtype)
    return _with_weights(graph, weights)


def _rounded(found: Mapping[str, tuple[Stored, MatrixView]]) -> dict[str, Tensor]:
    """The weights that `reading_whole_numbers` found, in 8 bits, by operation."""
    return {name: view.stored(in_one_unit(view.rows)) for name, (_, view) in found.items()}


def _with_weights(graph: Graph, weights: Mapping[str, Tensor]) -> Graph:
    """A graph with other weights at some operations, by their names."""
    tensors, operations = dict(graph.tensors), list[Operation]()
    for op in graph.operations:
        weighted = stored_weight(op, graph) if op.name in weights else None
        if weighted is not None:
            old = weighted[0]
            new = Stored.made(tensors, f"{op.name}.weight", weights[op.name], "int8")
            op = replace(
                op,
                args=tuple(new if arg == old else arg for arg in op.args),
                kwargs={k: new if v == old else v for k, v in op.kwargs.items()},
            )
        operations.append(op)
    return replace(graph, operations=tuple(operations), tensors=tensors).pruned()


def in_one_unit(rows: Tensor) -> Tensor:
    """Rows `[..., K]`, each as whole numbers up to 127 of one unit."""
    wide = rows.double()
    unit = unit_of(wide)
    return ((wide / unit).round() * unit).to(rows.dtype)


def unit_of(rows: Tensor) -> Tensor:
    """The units of rows `[..., K]` in 8 bits: 127ths of their largest weights, `[..., 1]`."""
    return rows.abs().amax(-1, keepdim=True).clamp(min=LEAST_UNIT) / LARGEST_DIGIT
