"""Running a plan: a few boring lines that every engine shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.ir import BATCH, ROOT, Graph, Operation, Stored, Value, mapped
from spikewright.graph.structure import Output

Handler = Callable[[Operation, tuple[Any, ...]], Any]
"""Computes the value of an operation from the values of `Operation.inputs`, in their order, in
place of the operation's target."""


def call(
    op: Operation, values: Mapping[str, Any], tensors: Mapping[str, Tensor], batch: int
) -> Any:
    """Call an operation's own target on the values it reads."""

    def known(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return values[leaf.name]
        if isinstance(leaf, Stored):
            return tensors[leaf.name]
        return batch if leaf is BATCH else leaf

    if op.body:
        return _computed(op, values[op.args[0].name], tensors)
    return op.target(*mapped(op.args, known), **mapped(op.kwargs, known))


def _computed(op: Operation, signal: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """The value of a unit's body."""
    values: dict[str, Any] = {ROOT: signal}
    for inner in op.body:
        read, least = values, None if inner.site is None else inner.site.least
        if least is not None:
            source = inner.inputs[0]
            read = {**values, source: values[source].clamp(min=least)}
        values[inner.name] = call(inner, read, tensors, len(signal))
    return values[op.body[-1].name]


def apply(op: Operation, inputs: Sequence[Any], tensors: Mapping[str, Tensor]) -> Any:
    """Call an operation's own target on the values of `Operation.inputs`, in their order."""
    return call(op, dict(zip(op.inputs, inputs, strict=True)), tensors, len(inputs[0]))


def last_uses(operations: Sequence[Operation], keep: Iterable[str]) -> dict[str, list[str]]:
    """The values that nothing needs once an operation has run, by operation."""
    kept, freed = set(keep), {}
    for op in reversed(operations):
        done = [name for name in (*op.inputs, op.name) if name not in kept]
        kept.update(done)
        freed[op.name] = done
    return freed


def evaluate(
    graph: Graph, x: Tensor, handlers: Mapping[Any, Handler] | None = None
) -> tuple[Tensor, ...]:
    """The graph's outputs for a batch.

    Args:
        graph: the plan.
        x: `[B, *S]`.
        handlers: by kind, what to do instead of calling the operation's own target; without any,
            the graph computes what the captured model computes.

    Returns:
        The values of `Graph.outputs`, `[B, ...]` each.
    """
    handlers = handlers or {}
    values: MutableMapping[str, Any] = {graph.input: x}
    freed = last_uses(graph.operations, graph.outputs)
    for op in graph.operations:
        handler = handlers.get(op.kind)
        if handler is None:
            values[op.name] = call(op, values, graph.tensors, len(x))
        else:
            values[op.name] = handler(op, tuple(values[name] for name in op.inputs))
        for name in freed[op.name]:
            del values[name]
    return tuple(values[name] for name in graph.outputs)


def answered(graph: Graph, outputs: Sequence[Tensor], batch: int) -> Any:
    """The network's answer, put together as the model has it.

    Args:
        graph: of the network.
        outputs: the values of `Graph.outputs`.
        batch: B.
    """

    def known(leaf: Any) -> Any:
        if isinstance(leaf, Output):
            return outputs[leaf.number]
        if isinstance(leaf, Stored):
            return graph.tensors[leaf.name]
        return batch if leaf is BATCH else leaf

    return graph.structure.built(known)


def check_input(graph: Graph, x: Tensor, like: Tensor) -> None:
    """Refuse a batch that the graph was not captured for.

    Args:
        graph: of the network.
        x: the batch.
        like: a tensor of the network's dtype and device.

    Raises:
        ConversionError: for another shape, dtype or device, or an empty batch.
    """
    if tuple(x.shape[1:]) != graph.input_shape or x.ndim == 0:
        raise ConversionError(
            f"this network takes batches of shape [B, {', '.join(map(str, graph.input_shape))}], "
            f"got {list(x.shape)}: resize the images, or convert again with the new size"
        )
    if len(x) == 0:
        raise ConversionError("got an empty batch; a batch holds at least one sample")
    if not x.is_floating_point():
        raise ConversionError(
            f"this network takes floating-point input, got {x.dtype}: call .float()"
        )
    if x.dtype != like.dtype or x.device != like.device:
        raise ConversionError(
            f"this network is {like.dtype} on {like.device}, the input is {x.dtype} on {x.device}: "
            "move one with .to()"
        )
