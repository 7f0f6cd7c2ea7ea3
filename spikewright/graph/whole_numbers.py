"""Values that hold whole numbers, and the weights that read them in 8 bits."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Stored
from spikewright.graph.matrix import MatrixView
from spikewright.graph.rule import rule_of

LARGEST_DIGIT = 127
"""The largest whole number that a weight in 8 bits is."""
LEAST_UNIT = 1.1754943508222875e-38
"""The smallest normal number of float32: the unit of weights that are all 0."""


def whole_numbers(graph: Graph, without: frozenset[str] = frozenset()) -> set[str]:
    """The values that hold whole numbers: what neurons emit, some sites apart, and its largest."""
    whole: set[str] = set()
    for op in graph.operations:
        passes = rule_of(op).keeps_whole_numbers and whole.issuperset(op.inputs)
        emits = op.site is not None and op.site.name not in without
        if emits or (passes and op.kind not in (Kind.CONSTANT, Kind.UNIT)):
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
    found, rounded = reading_whole_numbers(graph), dict[str, Tensor]()
    operations: list[Operation] = []
    for op in graph.operations:
        if op.name in found:
            weight, view = found[op.name]
            name = f"{op.name}.int8"
            rounded[name] = view.stored(in_one_unit(view.rows))
            op = replace(
                op,
                args=tuple(Stored(name) if arg == weight else arg for arg in op.args),
                kwargs={k: Stored(name) if v == weight else v for k, v in op.kwargs.items()},
            )
        operations.append(op)
    tensors = {**graph.tensors, **rounded}
    return replace(graph, operations=tuple(operations), tensors=tensors).pruned()


def in_one_unit(rows: Tensor) -> Tensor:
    """Rows `[..., K]`, each as whole numbers up to 127 of one unit."""
    wide = rows.double()
    unit = unit_of(wide)
    return ((wide / unit).round() * unit).to(rows.dtype)


def unit_of(rows: Tensor) -> Tensor:
    """The units of rows `[..., K]` in 8 bits: 127ths of their largest weights, `[..., 1]`."""
    return rows.abs().amax(-1, keepdim=True).clamp(min=LEAST_UNIT) / LARGEST_DIGIT
