"""Padding with a constant, or by the values at the border."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.nodes import Node, Refusal, affine, convolution, identity
from spikewright.graph.routes import Moved, moved_by
from spikewright.graph.rule import Rule, register
from spikewright.rules.rearranging import moved_scale

aten = torch.ops.aten


class Padding(Rule):
    """Values around a plane, the last dimension first."""

    targets = (aten.constant_pad_nd.default, aten.pad.default)
    kind = Kind.LINEAR

    def objection(self, op: Operation, ndim: int) -> str | None:
        if len(op.argument(1, "pad")) > 2 * (ndim - 1):
            return "it pads the batch dimension; pad dimensions behind it alone"
        return None

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        """Zeros have any scale, and get 1; values at the border bring theirs."""
        filling = _filling(op)
        if filling is None:
            return moved_scale(op, scales, graph)
        if filling != 0:
            return None
        scale, pads = scales[op.inputs[0]], list(op.argument(1, "pad"))
        for i in range(len(pads)):
            if scale.shape[-1 - i // 2] == 1:
                pads[i] = 0
        return F.pad(scale, pads, value=1.0)

    def keeps_whole_numbers(self, op: Operation, graph: Graph) -> bool:
        return not _filling(op)

    def compiled_target(self, op: Operation) -> Callable[..., Any]:
        whole = _filling(op) == 0 and all(n >= 0 for n in op.argument(1, "pad"))
        return zero_padded if whole else op.target

    def route(self, op: Operation, graph: Graph) -> Moved:
        filling = _filling(op)
        if filling is None:
            return moved_by(op, graph)
        args = (op.args[0], op.argument(1, "pad"))
        zeros = replace(op, target=aten.constant_pad_nd.default, args=args, kwargs={})
        return moved_by(zeros, graph, constant=filling)

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        """More channels of zeros are a 1x1 convolution, or a matrix; borders a convolution's."""
        pads, shape = [*op.argument(1, "pad")], graph.shapes[op.inputs[0]]
        border = 2 * (len(shape) - 1)
        if _filling(op) != 0 or any(pads[:border]) or any(n < 0 for n in pads):
            return Refusal(
                "of padding NIR can say whole channels of zeros only",
                "give the padding to the convolution that follows",
            )
        if not any(pads):
            return ()
        before, after = pads[border:]
        kept = identity(shape, graph.dtype)
        rows = [kept.new_zeros(n, *kept.shape[1:]) for n in (before, after)]
        weight = torch.cat([rows[0], kept, rows[1]])
        return (affine(weight),) if len(shape) == 1 else convolution(shape, weight)


def _filling(op: Operation) -> float | None:
    """The constant that it pads with, or None where it pads with values of its input."""
    general = op.target is aten.pad.default
    if general and op.argument(2, "mode", "constant") != "constant":
        return None
    return op.argument(3 if general else 2, "value") or 0


def zero_padded(x: Tensor, pad: Sequence[int], *_: Any, **__: Any) -> Tensor:
    """Padding by concatenation, which the compiler makes faster code of; none may be negative."""
    for i in range(0, len(pad), 2):
        dim = x.ndim - 1 - i // 2
        ends = [list(x.shape), list(x.shape)]
        ends[0][dim], ends[1][dim] = pad[i], pad[i + 1]
        before, after = (x.new_zeros(()).expand(end) for end in ends)
        if pad[i] or pad[i + 1]:
            x = torch.cat([before, x, after], dim)
    return x


register(Padding())
