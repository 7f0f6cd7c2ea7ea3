"""A graph run before it is trusted: on tensors without contents first, then on one sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import InterchangeError
from spikewright.graph.evaluate import call, evaluate, on_meta
from spikewright.graph.inputs import batch_of
from spikewright.graph.ir import ROOT, Graph, Kind, Operation
from spikewright.graph.rule import objection_to, rule_of
from spikewright.graph.structure import Port

_BATCHES = (2, 3)
"""Two sizes, so that a constant that happens to equal the batch size is noticed."""
_MOST_PARTS = 4096
"""The most parts into which one operation may split a value."""


def check_graph(graph: Graph) -> None:
    """Every operation must take its arguments and give the shape that the graph states.

    Raises:
        InterchangeError: naming the first that does not.
    """
    dtype = _common_dtype(graph)
    tensors = {name: tensor.to("meta") for name, tensor in graph.tensors.items()}
    for batch in _BATCHES:
        values: dict[str, Any] = {
            port.name: port.empty(batch, dtype, "meta") for port in graph.inputs
        }
        for op in graph.operations:
            _check_parts(op, values, graph)
            values[op.name] = _computed(op, values, tensors, batch)
            _check_value(op, values[op.name], batch, dtype)
        if not all(isinstance(values[name], Tensor) for name in graph.outputs):
            raise InterchangeError("an output of the graph is not one tensor")
        ports = [leaf for leaf in graph.structure.leaves if isinstance(leaf, Port)]
        if any(port.dim >= values[graph.outputs[port.number]].ndim for port in ports):
            raise InterchangeError("an output has no such dimension for its batch")
    _run_once(graph, dtype)


def _run_once(graph: Graph, dtype: torch.dtype) -> None:
    """Run one sample of zeros: sizes are known to be sound by now, torch checks the rest.

    Whole numbers that count from 1, as lengths do, are 0 in no sample: with them it may run on 1.
    """
    device = next(iter(graph.tensors.values())).device
    errors: list[Exception] = []
    for whole in (0, 1):
        numbers = [0 if port.dtype is None else whole for port in graph.inputs]
        if errors and not any(numbers):
            break
        filled = zip(graph.inputs, numbers, strict=True)
        sample = batch_of([port.empty(1, dtype, device).fill_(n) for port, n in filled])
        try:
            with torch.no_grad():
                evaluate(graph, sample)
            return
        except Exception as error:  # torch raises whatever wrong arguments lead to
            errors.append(error)
    message = str(errors[0]).strip().partition("\n")[0]
    raise InterchangeError(f"the graph does not run: {message}") from errors[0]


def _common_dtype(graph: Graph) -> torch.dtype:
    floats = [t for t in graph.tensors.values() if t.is_floating_point()]
    dtypes = {t.dtype for t in floats if t.ndim} | {graph.dtype}
    if not floats or len(dtypes) != 1:
        raise InterchangeError(
            f"weights must be of one floating dtype, got {sorted(map(str, dtypes))}"
        )
    return graph.dtype


def _computed(
    op: Operation, values: Mapping[str, Any], tensors: Mapping[str, Tensor], batch: int
) -> Any:
    try:
        with torch.no_grad():
            result = call(on_meta(op), values, tensors, batch)
    except Exception as error:  # torch raises whatever wrong arguments lead to
        message = str(error).strip().partition("\n")[0]
        raise InterchangeError(f"{_where(op)} does not take its arguments: {message}") from error
    return result


def _check_parts(op: Operation, values: Mapping[str, Any], graph: Graph) -> None:
    """Refuse a split into very many parts before it is made, and what its rule refuses."""
    inputs = [values[name] for name in op.inputs]
    sizes = [n for t in inputs if isinstance(t, Tensor) for n in t.shape]
    rule = rule_of(op)
    try:
        if rule.parts(op, max(sizes, default=0)) > _MOST_PARTS:
            raise InterchangeError(f"{_where(op)} splits a value into too many parts")
        dimensions = {ROOT: inputs[0].ndim} if op.body else {}
        for inner in op.body:
            judged = inner.kind in (Kind.LINEAR, Kind.MAX)
            own = 1 + len(inner.shape)
            read = [dimensions[name] for name in inner.inputs if name in dimensions]
            if inner.kind is not Kind.CONSTANT:
                dimensions[inner.name] = own
            if judged and rule_of(inner).objection(inner, max(read, default=own)):
                raise InterchangeError(f"{_where(op)}: its body is refused")
        if op.kind is not Kind.CONSTANT:
            known = {n: values[n].ndim for n in op.inputs if isinstance(values[n], Tensor)}
            objection = objection_to(op, known, graph.constants)
            if objection:
                raise InterchangeError(f"{_where(op)} is refused: {objection}")
    except (TypeError, IndexError, ValueError, KeyError, ArithmeticError) as error:
        raise InterchangeError(f"{_where(op)} has arguments of a wrong kind ({error})") from error


def _check_value(op: Operation, value: Any, batch: int, dtype: torch.dtype) -> None:
    if isinstance(value, (tuple, list)):
        if op.shape or not all(isinstance(v, Tensor) for v in value):
            raise InterchangeError(f"{_where(op)} gives several values, which have no shape")
        return
    if not isinstance(value, Tensor):
        raise InterchangeError(f"{_where(op)} gives no tensor")
    got = tuple(value.shape)
    expected = op.shape if op.kind is Kind.CONSTANT else (batch, *op.shape)
    if (got[1:] if op.kind is Kind.CONSTANT else got) != expected:
        raise InterchangeError(f"{_where(op)} gives {got} where the graph states {expected}")
    if op.kind is not Kind.CONSTANT and value.dtype is not dtype:
        raise InterchangeError(f"{_where(op)} gives {value.dtype} in a network of {dtype}")
    if op.kind is Kind.UNIT and not op.shape:
        raise InterchangeError(f"{_where(op)} is a layer of neurons without channels")


def _where(op: Operation) -> str:
    return f"operation '{op.name}' ({op.operator})"
