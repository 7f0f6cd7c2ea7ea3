"""Running a plan: a few boring lines that every engine shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import ConversionError
from spikewright.graph.inputs import Batch, Input, as_many, named, tensors_of
from spikewright.graph.ir import BATCH, ROOT, Graph, Kind, Operation, Stored, Value, mapped
from spikewright.graph.structure import Port

Handler = Callable[[Operation, tuple[Any, ...]], Any]
"""Computes the value of an operation from the values of `Operation.inputs`, in their order, in
place of the operation's target."""


def call(
    op: Operation, values: Mapping[str, Any], tensors: Mapping[str, Tensor], batch: int
) -> Any:
    """Call an operation's own target on the values it reads.

    What a unit reads is taken as no less than the least input for which its function is defined.
    """
    least = None if op.site is None else op.site.least
    if least is not None:
        source = op.inputs[0]
        values = {**values, source: values[source].clamp(min=least)}

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
        values[inner.name] = call(inner, values, tensors, len(signal))
    return values[op.body[-1].name]


def on_meta(op: Operation) -> Operation:
    """A constant that an operation makes of nothing is made without contents too."""
    if op.body:
        return replace(op, body=tuple(on_meta(inner) for inner in op.body))
    made_here = op.kind is Kind.CONSTANT and not op.inputs and not op.stored
    if "device" not in op.kwargs and not made_here:
        return op
    return replace(op, kwargs={**op.kwargs, "device": torch.device("meta")})


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
    graph: Graph, x: Batch, handlers: Mapping[Any, Handler] | None = None
) -> tuple[Tensor, ...]:
    """The graph's outputs for a batch.

    Args:
        graph: the plan.
        x: `[B, *S]`, or a batch of all inputs.
        handlers: by kind, what to do instead of calling the operation's own target; without any,
            the graph computes what the captured model computes, and what the network's answer
            comes to as T grows.

    Returns:
        The values of `Graph.outputs`, `[B, ...]` each.
    """
    handlers = handlers or {}
    values: MutableMapping[str, Any] = dict(named(graph.inputs, x))
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


def answered(graph: Graph, outputs: Sequence[Tensor]) -> Any:
    """The network's answer, put together as the model has it.

    Args:
        graph: of the network.
        outputs: the values of `Graph.outputs`.
    """

    def known(leaf: Any) -> Any:
        if isinstance(leaf, Port):
            return outputs[leaf.number].movedim(0, leaf.dim)
        return graph.tensors[leaf.name] if isinstance(leaf, Stored) else leaf

    return graph.structure.built(known)


def check_inputs(graph: Graph, batch: Batch, like: Tensor) -> None:
    """Refuse a batch that the graph was not captured for.

    Args:
        graph: of the network.
        batch: of all inputs.
        like: a tensor of the network's dtype and device.

    Raises:
        ConversionError: for another shape, dtype or device, or an empty batch.
    """
    tensors = tensors_of(batch)
    for number, (port, tensor) in enumerate(zip(graph.inputs, tensors, strict=True)):
        where = "" if len(tensors) == 1 else f"'{graph.call.names[number]}': "
        _check_input(port, tensor, like, where)
    as_many(tensors, graph.call.names)


def _check_input(port: Input, x: Tensor, like: Tensor, where: str) -> None:
    if not isinstance(x, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConversionError(
            f"{where}this network takes a tensor {_batches(port)}, got {type(x).__name__}: "
            "torch.as_tensor(...) makes one of an array or a list"
        )
    if tuple(x.shape) == port.shape:
        raise ConversionError(
            f"{where}this network takes batches of shape {_batches(port)}, got one sample "
            f"{list(x.shape)} without its batch dimension: give x[None]; where batches are asked "
            "for, a tensor stands in a list, [x]"
        )
    if tuple(x.shape[1:]) != port.shape or x.ndim == 0:
        raise ConversionError(
            f"{where}this network takes batches of shape {_batches(port)}, got {list(x.shape)}: "
            "resize the images, or convert again with the new size"
        )
    if len(x) == 0:
        raise ConversionError(f"{where}got an empty batch; a batch holds at least one sample")
    if port.dtype is None and not x.is_floating_point():
        raise ConversionError(
            f"{where}this network takes floating-point input, got {x.dtype}: call .float()"
        )
    dtype = port.dtype or like.dtype
    if x.dtype != dtype or x.device != like.device:
        raise ConversionError(
            f"{where}this network is {dtype} on {like.device}, the input is {x.dtype} on "
            f"{x.device}: move one with .to()"
        )


def _batches(port: Input) -> str:
    return f"[{', '.join(map(str, ('B', *port.shape)))}]"
