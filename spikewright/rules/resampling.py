"""Upsampling within a channel's plane."""

from __future__ import annotations

import torch

from spikewright.graph.ir import Graph, Operation
from spikewright.graph.nodes import Refusal
from spikewright.graph.rule import register
from spikewright.rules._planes import PlaneMean

aten = torch.ops.aten


class Upsampling(PlaneMean):
    """Nearest neighbours, linear or cubic interpolation."""

    targets = (
        aten.upsample_nearest1d.vec,
        aten.upsample_nearest2d.vec,
        aten.upsample_nearest3d.vec,
        aten.upsample_linear1d.vec,
        aten.upsample_bilinear2d.vec,
        aten.upsample_trilinear3d.vec,
        aten.upsample_bicubic2d.vec,
        aten._upsample_nearest_exact1d.vec,
        aten._upsample_nearest_exact2d.vec,
        aten._upsample_nearest_exact3d.vec,
        aten._upsample_bilinear2d_aa.vec,
        aten._upsample_bicubic2d_aa.vec,
    )
    label = "upsample"
    unwritten = Refusal("NIR has no upsampling", "convert the part of the model before it")

    def keeps_whole_numbers(self, op: Operation, graph: Graph) -> bool:
        return "nearest" in op.function


register(Upsampling())
