"""What makes constants: as long as the batch, or of indices and masks; no signal may enter."""

from __future__ import annotations

import torch

from spikewright.graph.rule import Rule, register

aten = torch.ops.aten


class Filled(Rule):
    """A tensor of one value, or of a repeated one."""

    targets = (aten.zeros.default, aten.ones.default, aten.full.default)


class Computed(Rule):
    """What models compute of token ids and masks, before any signal."""

    targets = (
        aten.any.dim,
        aten.all.dim,
        aten.remainder.Scalar,
        aten.floor_divide.default,
        aten.argmax.default,
    )


register(Filled(), Computed())
