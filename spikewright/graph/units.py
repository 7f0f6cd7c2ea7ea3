"""What the neurons of a unit round: its function of the mean current."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from spikewright.graph.evaluate import apply
from spikewright.graph.ir import Kind, Operation
from spikewright.graph.primitives import RELAY


def applies_function(op: Operation) -> bool:
    """Whether the neurons of a unit round another number than its current."""
    return op.site is not None and not op.site.rectifies and op.target is not RELAY


def function_of(op: Operation, tensors: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor] | None:
    """The function of a unit, `[B, *S]` to `[B, *S]`; None of a rectifier or relay.

    A neuron that counts from 0 to L rectifies by itself, so of a rectifier it rounds the current.
    Currents of a spiking network stray a little: an input below the least one for which the
    function is defined is taken as that, and where the function of a group has no value, it is 0.
    """
    if not applies_function(op):
        return None

    def function(current: Tensor) -> Tensor:
        value = apply(op, (current,), tensors)
        return defined(value) if op.body else value

    return function


def trained_levels(op: Operation) -> int:
    """L of a unit that was trained to tell L + 1 values apart (QCFS); 0 of any other."""
    return op.args[2] if op.target is torch.ops.spikewright.qcfs.default else 0


def defined(value: Tensor) -> Tensor:
    """What a function gave, and 0 where it is not defined: 0 / 0 where all counts are 0, say."""
    return torch.where(value == value, value, 0.0)  # fused; `isnan` would be a pass of its own


def computed_in(op: Operation) -> tuple[str, ...]:
    """The names of what a unit computes: those of the parts of a body, each once."""
    inner = [part for part in op.body if part.kind not in (Kind.LINEAR, Kind.CONSTANT)]
    return tuple(dict.fromkeys(part.function for part in inner)) or (op.function,)
