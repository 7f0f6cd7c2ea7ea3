"""What makes a constant as long as the batch; of data there is no rule for these."""

from __future__ import annotations

import torch

from spikewright.graph.rule import Rule, register

aten = torch.ops.aten


class Filled(Rule):
    """A tensor of one value, or of a repeated one."""

    targets = (aten.zeros.default, aten.ones.default, aten.full.default)


register(Filled())
