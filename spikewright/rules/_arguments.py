"""Questions about the arguments of a call that several rules ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from spikewright.graph.ir import Operation, Stored, reads_data, walk
from spikewright.graph.nodes import Refusal

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


def in_its_dtype(op: Operation) -> Operation:
    """The call without a floating dtype among its keywords: values stay in the network's."""
    if not getattr(op.kwargs.get("dtype"), "is_floating_point", False):
        return op
    return replace(op, kwargs={name: v for name, v in op.kwargs.items() if name != "dtype"})
