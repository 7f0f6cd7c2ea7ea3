"""Upsampling within a channel's plane, and of channels into a plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.nodes import Refusal
from spikewright.graph.routes import Averaged, Moved, moved_by
from spikewright.graph.rule import Rule, register
from spikewright.rules._planes import averaged, same_over_plane

aten = torch.ops.aten


class Upsampling(Rule):
    """Nearest neighbours or linear interpolation."""

    targets = (
        aten.upsample_nearest1d.vec,
        aten.upsample_nearest2d.vec,
        aten.upsample_nearest3d.vec,
        aten.upsample_linear1d.vec,
        aten.upsample_bilinear2d.vec,
        aten.upsample_trilinear3d.vec,
    )
    kind = Kind.LINEAR

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        return same_over_plane(op, scales[op.inputs[0]])

    def route(self, op: Operation, graph: Graph) -> Averaged:
        return averaged(op, graph)

    def words(self, op: Operation, graph: Graph) -> str:
        return "upsample"

    def nir(self, op: Operation, graph: Graph) -> Refusal:
        return Refusal("NIR has no upsampling", "convert the part of the model before it")


class PixelShuffle(Rule):
    """Channels become pixels."""

    targets = (aten.pixel_shuffle.default,)
    kind = Kind.LINEAR

    def route(self, op: Operation, graph: Graph) -> Moved:
        return moved_by(op, graph)


register(Upsampling(), PixelShuffle())
