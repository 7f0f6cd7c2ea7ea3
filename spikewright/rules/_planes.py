"""Weighted means within a channel's plane: what average pooling and upsampling share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.evaluate import call
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.routes import Averaged, Moved, PlaneMap, moved_by
from spikewright.graph.rule import Rule
from spikewright.rules._arguments import dimensions_of


def same_over_plane(op: Operation, scale: Tensor) -> Tensor | None:
    """The scale where it is constant along the plane, else None; max_pool1d may read `[B, L]`."""
    return scale if all(n == 1 for n in scale.shape[-dimensions_of(op) :]) else None


class PlaneMean(Rule):
    """Every output is a weighted mean within the plane of its channel."""

    kind = Kind.LINEAR

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        return same_over_plane(op, scales[op.inputs[0]])

    def route(self, op: Operation, graph: Graph) -> Averaged | Moved:
        """Connections are found by giving the operation one line of the plane at a time.

        A mean of one input is a copy: upsampling by nearest neighbours, windows of one element.
        """
        shape = graph.shapes[op.inputs[0]]
        plane = shape[len(shape) - dimensions_of(op) :]
        matrices: list[Tensor] = []
        uniform = copies = True
        for axis, size in enumerate(plane):
            lines = torch.eye(size, dtype=torch.float64)
            lines = lines.reshape(size, 1, *(size if a == axis else 1 for a in range(len(plane))))
            probe = lines.expand(size, 1, *plane).contiguous()
            answer: Tensor = call(op, {op.inputs[0]: probe}, {}, size)
            others = [2 + a for a in range(len(plane)) if a != axis]
            weights = answer.abs().amax([1, *others]).T
            used = weights[weights > 0]
            uniform = uniform and bool(torch.isclose(used, used[:1]).all())
            matrices.append((weights > 0).double())
            copies = copies and bool(torch.equal(weights, matrices[-1]))
            copies = copies and bool((matrices[-1].sum(1) == 1).all())
        if copies:
            return moved_by(op, graph)
        return Averaged(PlaneMap(matrices), uniform)
