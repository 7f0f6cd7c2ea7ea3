"""Upsampling within a channel's plane."""

from __future__ import annotations

import torch

from spikewright.graph.nodes import Refusal
from spikewright.graph.rule import register
from spikewright.rules._planes import PlaneMean

aten = torch.ops.aten


class Upsampling(PlaneMean):
    """Nearest neighbours or linear interpolation."""

    targets = (
        aten.upsample_nearest1d.vec,
        aten.upsample_nearest2d.vec,
        aten.upsample_nearest3d.vec,
        aten.upsample_linear1d.vec,
        aten.upsample_bilinear2d.vec,
        aten.upsample_trilinear3d.vec,
    )
    label = "upsample"
    unwritten = Refusal("NIR has no upsampling", "convert the part of the model before it")


register(Upsampling())
