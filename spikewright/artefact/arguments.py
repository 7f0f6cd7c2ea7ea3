"""The arguments of operations as JSON: numbers and names stand for themselves, the rest is tagged.

{"value": NAME}   what an operation computes      {"tensor": NAME}  a stored tensor
{"batch": "size"} the size of the batch           {"float": "inf"}  what JSON has no number for
{"dtype": "float32"}, {"layout": "strided"}, {"memory_format": ...}, {"device": "network"}
"""

from __future__ import annotations

import math
from typing import Any

import torch

from spikewright.artefact.fields import END, WHOLE, mapping
from spikewright.errors import InterchangeError
from spikewright.graph.ir import BATCH, Stored, Value

_TORCH = {
    "dtype": (
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint64",
        "uint32",
        "uint16",
        "uint8",
        "bool",
    ),
    "layout": ("strided",),
    "memory_format": ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d"),
}
CONSTANTS: dict[tuple[str, str], Any] = {
    (tag, name): getattr(torch, name) for tag, names in _TORCH.items() for name in names
}
"""Torch's own objects that an argument may name."""

_FLOATS = {"inf": math.inf, "-inf": -math.inf}
_DEEPEST = 4
_LONGEST = 4096


def encoded(argument: Any) -> Any:
    """An argument, nested lists and all, as plain values.

    Raises:
        InterchangeError: for what has no place in a file.
    """
    if isinstance(argument, (tuple, list)):
        return [encoded(entry) for entry in argument]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(argument, Value):
        return {"value": argument.name}
    if isinstance(argument, Stored):
        return {"tensor": argument.name}
    if argument is BATCH:
        return {"batch": "size"}
    if isinstance(argument, torch.device):
        return {"device": "network"}
    if isinstance(argument, float) and not math.isfinite(argument):
        return {"float": str(argument)}
    if argument is None or type(argument) in (bool, int, float, str):
        return argument
    for (tag, name), constant in CONSTANTS.items():
        if argument is constant:
            return {tag: name}
    raise InterchangeError(f"an argument of type {type(argument).__name__} cannot be saved")


def decoded(document: Any, what: str, depth: int = 0) -> Any:
    """The argument that `encoded` wrote; devices are the CPU, where every network is loaded.

    Raises:
        InterchangeError: for anything else.
    """
    if isinstance(document, list):
        if depth == _DEEPEST or len(document) > _LONGEST:
            raise InterchangeError(f"{what}: its arguments nest too deep or are too many")
        return [decoded(entry, what, depth + 1) for entry in document]
    if isinstance(document, dict):
        return _tagged(mapping(document, what), what)
    if type(document) is int and abs(document) > WHOLE and document != END:
        raise InterchangeError(f"{what}: a number in its arguments is out of range")
    return document


def _tagged(document: Any, what: str) -> Any:
    entry = next(iter(document.items()), None)
    if len(document) == 1 and entry is not None and isinstance(entry[1], str):
        tag, name = entry
        if tag == "value":
            return Value(name)
        if tag == "tensor":
            return Stored(name)
        if (tag, name) == ("batch", "size"):
            return BATCH
        if (tag, name) == ("device", "network"):
            return torch.device("cpu")
        if tag == "float" and name in _FLOATS:
            return _FLOATS[name]
        if (tag, name) in CONSTANTS:
            return CONSTANTS[tag, name]
    raise InterchangeError(f"{what}: an argument {str(document)[:80]} is of no known kind")
