"""How a network is cut for work that must finish a layer on all samples before the next one starts.

A segment ends at a unit, a maximum or a product, whose values every later layer may read, and
consists of the linear operations that lead there from values made before. Each linear operation
runs in the first segment that needs it, so that what must be kept between two segments is mostly
counts.

Example: in a residual block `relu(b(h) + d(x))` with x and h counts, `b`, `d` and the addition run
in one segment; between segments only the counts x and h are kept, never the outputs of `b` or `d`.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from spikewright.graph.ir import Graph, Kind, Operation

_BETWEEN = (Kind.LINEAR, Kind.CONSTANT)


@dataclass(frozen=True)
class Segment:
    """One step from the values kept to the next unit, maximum or product.

    Attributes:
        end: the unit, maximum or product.
        operations: what runs before it, in order.
        reads: names of the kept values that it starts from.
        keeps: names of values of `operations` that later segments read.
        frees: names of kept values that no later segment reads.
        lasts: whether a later segment reads the value of the end.
    """

    end: Operation
    operations: tuple[Operation, ...]
    reads: frozenset[str]
    keeps: frozenset[str]
    frees: frozenset[str]
    lasts: bool


def segments_of(graph: Graph, *, whole: bool = False) -> tuple[Segment, ...]:
    """The segments of a network, in order, up to its last unit.

    Args:
        graph: of the network.
        whole: up to its outputs, which are kept; each that is no unit, maximum or product ends a
            segment too.
    """
    made_by = {op.name: op for op in graph.operations}
    outputs = set(graph.outputs) - graph.constants if whole else set[str]()
    ends = [op for op in graph.operations if op.kind not in _BETWEEN or op.name in outputs]
    while ends and ends[-1].site is None and not whole:
        ends.pop()
    kept = {*(port.name for port in graph.inputs), *(op.name for op in ends)}
    runs: list[tuple[Operation, tuple[Operation, ...]]] = []
    order = {op.name: at for at, op in enumerate(graph.operations)}
    for end in ends:
        leading = leading_to(end.inputs, made_by, kept)
        operations = tuple(sorted(leading, key=lambda op: order[op.name]))
        kept.update(op.name for op in operations if op.kind is not Kind.CONSTANT)
        runs.append((end, operations))
    return _with_lifetimes(graph, runs, outputs)


def leading_to(
    names: Iterable[str], made_by: Mapping[str, Operation], known: Container[str] = ()
) -> list[Operation]:
    """The operations that values are computed by, in no order.

    Args:
        names: of the values.
        made_by: the operations, by name; what none of them makes is known.
        known: names of values whose operations are left out, with all before them.
    """
    needed, waiting = dict[str, Operation](), list(names)
    while waiting:
        name = waiting.pop()
        if name in made_by and name not in known and name not in needed:
            needed[name] = made_by[name]
            waiting += made_by[name].inputs
    return list(needed.values())


def _with_lifetimes(
    graph: Graph, runs: list[tuple[Operation, tuple[Operation, ...]]], outputs: set[str]
) -> tuple[Segment, ...]:
    """Segments that keep what later ones read, or are outputs, and free what nothing reads."""
    segments: list[Segment] = []
    read_later: set[str] = set(outputs)
    for end, operations in reversed(runs):
        own = {op.name for op in operations}
        reads = {name for op in (*operations, end) for name in op.inputs} - own
        constant = {op.name for op in operations if op.kind is Kind.CONSTANT}
        keeps = (own & read_later) - constant
        segments.append(
            Segment(
                end,
                operations,
                frozenset(reads),
                frozenset(keeps),
                frozenset(reads - read_later),
                end.name in read_later,
            )
        )
        read_later |= reads
    return tuple(reversed(segments))


def kept_bytes(graph: Graph, element_size: int, *, narrow: bool = True) -> int:
    """The most that one sample keeps between two segments.

    Args:
        graph: of the network.
        element_size: bytes of a number of the network's dtype.
        narrow: whether a count takes one byte, or is a number as others are.
    """
    sizes = {op.name: max(1, math.prod(op.shape)) for op in graph.operations}
    counts = {op.name for op in graph.operations if op.site is not None}
    live: dict[str, int] = {}
    most = 0
    for segment in segments_of(graph):
        end = segment.end
        counted = end.name in counts or (len(end.inputs) == 1 and end.inputs[0] in counts)
        if segment.lasts:
            live[end.name] = sizes[end.name] * (1 if narrow and counted else element_size)
        live.update({name: sizes[name] * element_size for name in segment.keeps})
        most = max(most, sum(live.values()))
        for name in segment.frees:
            live.pop(name, None)
    return most
