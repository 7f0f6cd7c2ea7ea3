"""How an answer, or a call, is put together, as JSON: objects are written as dicts of their fields.

{"port": NUMBER}       an output, or an input        {"constant": ARGUMENT}  see `arguments`
{"moved": [NUMBER, D]} an output whose batch is dimension D
{"tuple": [...]}       {"list": [...]}               {"dict": [[KEY, ...], ...]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spikewright.artefact import arguments
from spikewright.artefact.fields import items, mapping, whole
from spikewright.errors import InterchangeError
from spikewright.graph.ir import Stored
from spikewright.graph.structure import Port, Structure

_DEEPEST = 16
_LARGEST = 4096
_PLAIN = (bool, int, float, str)


def encoded(structure: Structure) -> Any:
    """A structure as plain values.

    Raises:
        InterchangeError: for a constant, or a key, that has no place in a file.
    """
    return _encoded(structure.plain)


def _encoded(tree: Any) -> Any:
    if isinstance(tree, Port):
        return {"moved": [tree.number, tree.dim]} if tree.dim else {"port": tree.number}
    if isinstance(tree, dict):
        keyed: dict[Any, Any] = tree
        wrong = [key for key in keyed if type(key) not in _PLAIN]
        if wrong:
            raise InterchangeError(f"the answer has a key {wrong[0]!r}, which cannot be saved")
        return {"dict": [[key, _encoded(branch)] for key, branch in keyed.items()]}
    if isinstance(tree, (tuple, list)):
        branches: list[Any] = [_encoded(branch) for branch in tree]  # pyright: ignore[reportUnknownVariableType]
        return {"tuple" if isinstance(tree, tuple) else "list": branches}
    return {"constant": arguments.encoded(tree)}


def decoded(
    document: Any, ports: int, tensors: Mapping[str, Tensor], what: str = "the answer"
) -> Structure:
    """The structure that `encoded` wrote.

    Args:
        document: its plain values.
        ports: how many outputs, or inputs, the graph has; each must stand in it.
        tensors: stored ones, that may stand in it.
        what: it is, for messages.

    Raises:
        InterchangeError: for anything else.
    """
    structure = Structure.of(_decoded(document, 0))
    marks = {leaf.number for leaf in structure.leaves if isinstance(leaf, Port)}
    if marks != set(range(ports)) or len(structure.leaves) > _LARGEST:
        raise InterchangeError(f"{what} must hold every port of the graph, and no other")
    for leaf in structure.leaves:
        if isinstance(leaf, Stored) and leaf.name not in tensors:
            raise InterchangeError(f"{what} holds a tensor {leaf.name!r} that is not there")
        known = isinstance(leaf, Port | Stored | None) or type(leaf) in _PLAIN
        if not known:
            raise InterchangeError(f"{what} holds a {type(leaf).__name__}")
    return structure


def _decoded(document: Any, depth: int) -> Any:
    entry = mapping(document, "a part of the answer")
    if len(entry) != 1 or depth > _DEEPEST:
        raise InterchangeError("a part of the answer is of no known kind, or nests too deep")
    ((kind, content),) = entry.items()
    if kind == "port":
        return Port(whole(content, "a port's number", 0))
    if kind == "moved":
        both = [whole(entry, "a port's number or dimension", 0) for entry in items(content, kind)]
        if len(both) != 2 or not both[1]:
            raise InterchangeError("a moved output has a number, and the dimension of its batch")
        return Port(*both)
    if kind == "constant":
        return arguments.decoded(content, "the answer")
    if kind == "dict":
        return dict(_entry(pair, depth) for pair in items(content, "a dict of the answer"))
    if kind not in ("tuple", "list"):
        raise InterchangeError(f"the answer has a part of no known kind: {kind!r}")
    branches = [_decoded(branch, depth + 1) for branch in items(content, f"a {kind}")]
    return tuple(branches) if kind == "tuple" else branches


def _entry(pair: Any, depth: int) -> tuple[Any, Any]:
    both = items(pair, "an entry of the answer")
    if len(both) != 2 or type(both[0]) not in _PLAIN:
        raise InterchangeError("an entry of the answer must be a key and its part")
    return both[0], _decoded(both[1], depth + 1)
