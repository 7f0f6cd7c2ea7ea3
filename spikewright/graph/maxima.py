"""A max pool chooses among spikes: what only scales and shifts a channel before it comes after it.

    max(a x + b) = |a| max(sign(a) x) + b

A batch norm between ReLU and max pool is such a scale and shift. Before the pool it would turn
spikes into currents, and a largest current is no count; behind it, the next weights read it.
A ReLU behind the pool comes before it, as `relu(max(x)) = max(relu(x))`.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Stored, Value
from spikewright.graph.primitives import AFFINE, PRODUCT


def with_maxima_of_spikes(graph: Graph) -> Graph:
    """The same network, with affines of channels behind the max pools that alone read them.

    Args:
        graph: whose batch norms are affines, `shift + value * scale` with `[1, C, 1, ...]`.
    """
    tensors, readers = dict(graph.tensors), graph.consumers()
    makers = {op.name: op for op in graph.operations}
    operations: dict[str, list[Operation]] = {op.name: [op] for op in graph.operations}
    for op in graph.operations:
        source = makers.get(op.args[1].name) if is_affine_of_value(op, graph) else None
        if source is None or source.site is None or op.name in graph.outputs:
            continue
        pools = readers[op.name]
        if len(pools) == 1 and _pools_planes(pools[0], op) and _by_channel(op, tensors):
            (pool,) = pools
            signs, scale = _with_signs(op, tensors)
            operations[op.name] = signs
            spikes = op.name if signs else source.name
            operations[pool.name] = _pool_then_affine(pool, op, spikes, scale)
    listed = tuple(op for some in operations.values() for op in some)
    return replace(graph, operations=listed, tensors=tensors).pruned()


def with_units_before_maxima(graph: Graph) -> Graph:
    """The same network, with rectifying units before the maxima that they alone read.

    Args:
        graph: as it was captured.
    """
    readers = graph.consumers()
    makers = {op.name: op for op in graph.operations}
    changed: dict[str, list[Operation]] = {}
    for op in graph.operations:
        if op.kind is not Kind.MAX or len(op.inputs) != 1 or op.name in graph.outputs:
            continue
        (source,), read_by = op.inputs, readers[op.name]
        maker = makers.get(source)
        if len(read_by) != 1 or not _rectifies(read_by[0]) or (maker and maker.site):
            continue
        (unit,) = read_by
        before = f"{unit.name}.before"
        rewired = unit.rewired({op.name: source})
        changed[op.name] = [replace(rewired, name=before, shape=graph.shapes[source])]
        changed[unit.name] = [replace(op.rewired({source: before}), name=unit.name)]
    listed = tuple(o for op in graph.operations for o in changed.get(op.name, [op]))
    return replace(graph, operations=listed)


def _rectifies(unit: Operation) -> bool:
    """Whether it is max(x, 0), perhaps with a ceiling, of every value by itself."""
    return unit.site is not None and unit.site.rectifies and not unit.body


def is_affine_of_value(op: Operation, graph: Graph) -> bool:
    """Whether it is `shift + value * scale`, of stored tensors that do not widen it."""
    if op.target is not AFFINE or len(op.args) != 3 or op.kwargs:
        return False
    if [type(leaf) for leaf in op.args] != [Stored, Value, Stored]:
        return False
    return graph.shapes[op.args[1].name] == op.shape


def _pools_planes(pool: Operation, affine: Operation) -> bool:
    """Whether it is a max pool within channels.

    One of a dimension more than a plane has, max_pool2d of `[B, C, L]`, chooses among channels.
    """
    planes = pool.kind is Kind.MAX and pool.function == f"max_pool{len(affine.shape) - 1}d"
    return planes and pool.shape[:1] == affine.shape[:1] and len(pool.shape) == len(affine.shape)


def _by_channel(affine: Operation, tensors: dict[str, Tensor]) -> bool:
    """Whether scale and shift are the same all over a channel."""
    both = [tensors[affine.args[at].name] for at in (0, 2)]
    wanted = (1, affine.shape[0], *[1] * (len(affine.shape) - 1))
    return all(tuple(tensor.shape) == wanted for tensor in both)


def _with_signs(affine: Operation, tensors: dict[str, Tensor]) -> tuple[list[Operation], Stored]:
    """What stands in front of the pool, and the scales behind it.

    Nothing, and the scales as they are; or their signs and sizes if some are below 0.
    """
    scale = tensors[affine.args[2].name]
    if not bool((scale < 0).any()):
        return [], affine.args[2]
    name = f"{affine.name}.scale"
    sign = Stored.made(tensors, name, scale.sign(), "sign")
    args = (affine.args[1], sign)
    signs = replace(affine, target=PRODUCT, args=args, kind=Kind.LINEAR)
    return [signs], Stored.made(tensors, name, scale.abs(), "size")


def _pool_then_affine(
    pool: Operation, affine: Operation, spikes: str, scale: Stored
) -> list[Operation]:
    """The pool under another name, and the affine under the pool's."""
    chosen = f"{pool.name}.chosen"
    args = (affine.args[0], Value(chosen), scale)
    after = replace(affine, name=pool.name, args=args, shape=pool.shape)
    return [replace(pool.rewired({affine.name: spikes}), name=chosen), after]
