"""Questions about the arguments of a call that several rules ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Kind, Operation, Stored, reads_data, walk
from spikewright.graph.nodes import Refusal
from spikewright.graph.rule import Reading

aten = torch.ops.aten

COMPUTED = Refusal("its weights are computed, NIR's are stored", "make them parameters")


OUTSIDE = (
    "name other dimensions, the batch is the first one; what is meant to mix samples belongs "
    "outside the model, on its input or its answer"
)
"""What to do about operations that read several samples."""


def each(values: Any, dimensions: int) -> tuple[int, ...]:
    """One number for every dimension, where a call may give one for all."""
    listed = tuple(values) if isinstance(values, (list, tuple)) else (values,)
    return listed * dimensions if len(listed) == 1 else listed


def dimensions_of(op: Operation) -> int:
    """How many dimensions of a plane an operation works on, as its name says."""
    return int(next(c for c in op.function if c.isdigit()))


def stored_or_none(op: Operation, position: int, name: str) -> bool:
    """Whether an argument is a stored tensor or None."""
    value = op.argument(position, name)
    return value is None or isinstance(value, Stored)


def per_input_channel_only(scale: Tensor) -> bool:
    """Whether a scale `[1, C, *S]` is one number a channel."""
    return all(n == 1 for n in scale.shape[2:])


def only_first_reads_data(op: Operation) -> str | None:
    """Object to weights that depend on the input."""
    if reads_data((op.args[1:], op.kwargs)):
        return (
            "its weights depend on the input, which makes it a product of two signals; write it as "
            "one with the batch in both, by @, torch.einsum or *: a convolution is "
            "weights(x).flatten(2) @ F.unfold(x, kernel)"
        )
    return None


def keeps_batch(dims: Any, ndim: int) -> str | None:
    """Object to dimension arguments that name the batch dimension, or none at all."""
    if dims is None or dims == [] or any(d % ndim == 0 for d in walk(dims)):
        return f"it works across the batch dimension, which mixes samples; {OUTSIDE}"
    return None


WIDE = frozenset({torch.float32, torch.float64})
"""The floating dtypes between which values stay in the network's."""


def of_one_dtype(reading: Reading) -> bool:
    """Whether a call's value has the dtype of its input, or both have 32 or 64 bits."""
    return reading.dtype is reading.source_dtype or {reading.dtype, reading.source_dtype} <= WIDE


def in_its_dtype(op: Operation, reading: Reading) -> Operation:
    """The call without a dtype among its keywords that changes no number: values stay in theirs."""
    if "dtype" not in op.kwargs or not (of_one_dtype(reading) or _counts(op, reading)):
        return op
    return replace(op, kwargs={name: v for name, v in op.kwargs.items() if name != "dtype"})


def _counts(op: Operation, reading: Reading) -> bool:
    """Whether a call counts where a comparison of signals is true, exact in any dtype."""
    maker = reading.maker(op.args[0])
    compared = maker is not None and maker.kind is not Kind.CONSTANT
    true = reading.source_dtype is torch.bool and reading.dtype is not torch.bool
    return compared and true and op.target is not aten.mean.dim


def keeps_dtype(op: Operation) -> str | None:
    """Object to a dtype that is left among the keywords: it changes the numbers of a signal."""
    dtype = op.kwargs.get("dtype")
    if dtype is None:
        return None
    if dtype.is_floating_point:
        return (
            f"it converts to {dtype}; keep one floating dtype throughout: leave dtype out, and "
            "call model.float()"
        )
    return f"it converts a signal to {dtype}, which drops its fraction; leave dtype out"
