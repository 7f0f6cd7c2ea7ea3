"""A copy of a network that SpikingJelly's graph of supported operations can hold."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from benchmarks.contenders.base import Unavailable


@torch.no_grad()
def traceable(model: nn.Module, images: Tensor) -> nn.Module:
    """Replace channel padding, which SpikingJelly 2.0 refuses, by an exact equivalent.

    `pad(x, (0, 0, 0, 0, b, a))`, of the option-A shortcuts, becomes
    `cat([0 * x[:, :b], x, 0 * x[:, :a]], dim=1)`.

    Args:
        model: with `nn.ReLU` modules as activations.
        images: the copy must answer them bit for bit as the model does.

    Raises:
        Unavailable: when it does not, or there is padding of another kind.
    """
    expected = model(images)
    traced = fx.symbolic_trace(model)
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target is F.pad:
            _replace_padding(traced.graph, node)
    traced.recompile()
    if not torch.equal(traced(images), expected):
        raise Unavailable("the copy without channel padding computes something else")
    return traced


def _replace_padding(graph: fx.Graph, node: fx.Node) -> None:
    arguments: Any = _arguments  # what fx knows of a node's arguments is less than F.pad does
    x, widths, mode, value = arguments(*node.args, **node.kwargs)
    if len(widths) != 6 or any(widths[:4]) or mode != "constant" or value:
        raise Unavailable(f"the network pads by {widths} ({mode}), not channels with zeros")
    with graph.inserting_before(node):
        before, after = (_zeros(graph, x, count) for count in widths[4:])
        joined = graph.call_function(torch.cat, ((before, x, after), 1))
    node.replace_all_uses_with(joined)
    graph.erase_node(node)


def _arguments(
    input: fx.Node,  # the name that `F.pad` has for it
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> tuple[fx.Node, Sequence[int], str, float | None]:
    """The arguments of a call of `F.pad`, however they were given."""
    return input, pad, mode, value


def _zeros(graph: fx.Graph, x: fx.Node, channels: int) -> fx.Node:
    part = graph.call_function(operator.getitem, (x, (slice(None), slice(0, channels))))
    return graph.call_function(operator.mul, (part, 0.0))
