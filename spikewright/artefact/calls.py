"""What a network takes, as JSON: its inputs, and how a call names them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.artefact import arguments, structures
from spikewright.artefact.fields import items, mapping, named, typed, whole
from spikewright.errors import InterchangeError
from spikewright.graph.inputs import Call, Input

_MOST = 256
_LARGEST_SAMPLE = 1 << 28


def encoded(inputs: tuple[Input, ...], call: Call) -> dict[str, Any]:
    """Inputs and their call as plain values.

    Raises:
        InterchangeError: for a constant argument that has no place in a file.
    """
    return {
        "inputs": [
            {
                "name": port.name,
                "shape": list(port.shape),
                "dtype": None if port.dtype is None else arguments.encoded(port.dtype),
            }
            for port in inputs
        ],
        "parameters": [list(parameter) for parameter in call.parameters],
        "arguments": structures.encoded(call.arguments),
    }


def decoded(document: Any, tensors: Mapping[str, Tensor]) -> tuple[tuple[Input, ...], Call]:
    """What `encoded` wrote.

    Raises:
        InterchangeError: for anything else.
    """
    what = "what the network takes"
    inputs, parameters, held = named(
        mapping(document, what), ("inputs", "parameters", "arguments"), what
    )
    ports = tuple(_input(entry) for entry in items(inputs, "the inputs"))
    if not 0 < len(ports) <= _MOST or len({port.name for port in ports}) != len(ports):
        raise InterchangeError("the inputs must be at least one, with names of their own")
    call = Call(
        tuple(_parameter(entry) for entry in items(parameters, "the parameters")),
        structures.decoded(held, len(ports), tensors, "the call"),
    )
    _check_parameters(call)
    return ports, call


def decoded_shape(document: Any, what: str) -> tuple[int, ...]:
    """The shape of one sample.

    Raises:
        InterchangeError: if it is none, or of a size that no machine holds.
    """
    shape = tuple(whole(n, f"{what}: its shape", 0) for n in items(document, what))
    if len(shape) > 16 or math.prod(shape) > _LARGEST_SAMPLE:
        raise InterchangeError(f"{what}: its shape {shape} is too large")
    return shape


def _input(document: Any) -> Input:
    name, shape, dtype = named(
        mapping(document, "an input"), ("name", "shape", "dtype"), "an input"
    )
    kind = None if dtype is None else arguments.decoded(dtype, "an input")
    whole_numbers = isinstance(kind, torch.dtype) and not kind.is_floating_point
    if kind is not None and not whole_numbers:
        raise InterchangeError("an input of a dtype of its own holds whole numbers or booleans")
    return Input(typed(name, str, "an input"), decoded_shape(shape, "an input"), kind)


def _parameter(document: Any) -> tuple[str, int]:
    both = items(document, "a parameter")
    if len(both) != 2:
        raise InterchangeError("a parameter has a name and a kind")
    return typed(both[0], str, "a parameter"), whole(both[1], "a parameter", 0)


def _check_parameters(call: Call) -> None:
    try:
        known = call.signature.parameters
    except (ValueError, TypeError, KeyError) as error:
        raise InterchangeError(f"the parameters are those of no function: {error}") from error
    held = call.captured
    if not isinstance(held, dict) or not set(held) <= set(known):
        raise InterchangeError("the call names arguments that are no parameters")
