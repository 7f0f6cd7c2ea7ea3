"""The operations that passes over a graph write themselves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

PRODUCT = torch.ops.aten.mul.Tensor
"""`value * constant`: a scale that no weights took in."""
SUM = torch.ops.aten.add.Tensor
"""Two values added, or a value and a constant."""
AFFINE = torch.ops.aten.addcmul.default
"""`shift + value * scale`: a batch norm that no weights took in."""
UNSQUEEZE, SQUEEZE = torch.ops.aten.unsqueeze.default, torch.ops.aten.squeeze.dim
"""A dimension of size 1 more, or less."""
CONVERSION = torch.ops.aten._to_copy.default
"""The same numbers in another dtype, a keyword."""
COPY = torch.ops.aten.alias.default
"""The value itself."""
RESHAPE = torch.ops.aten.reshape.default
"""The same values, in their order, in another shape."""
EXPAND = torch.ops.aten.expand.default
"""The same values repeated along dimensions of size 1."""
INDEX = torch.ops.aten.index.Tensor
"""Places chosen by tensors of indices."""
POSITIVE = frozenset({torch.ops.aten.exp.default, torch.ops.aten.exp2.default})
"""Functions above 0 everywhere: where one gives 0, the number was too small for its dtype."""


def _power(x: Tensor, exponent: Tensor) -> Tensor:
    """Values below 0 have whole powers alone; by others they are taken as 0."""
    whole = exponent == exponent.floor()
    return x.clamp(min=x.new_full((), -math.inf).where(whole, 0.0)) ** exponent


_LIBRARY = torch.library.Library("spikewright", "FRAGMENT")
_LIBRARY.define("relay(Tensor x) -> Tensor")
_LIBRARY.impl("relay", torch.clone, "CompositeImplicitAutograd")
_LIBRARY.define("hat(Tensor x) -> Tensor")
_LIBRARY.impl("hat", lambda x: (1 - x.abs()).clamp_min(0), "CompositeImplicitAutograd")
_LIBRARY.define("pow(Tensor x, Tensor exponent) -> Tensor")
_LIBRARY.impl("pow", _power, "CompositeImplicitAutograd")
_LIBRARY.define(
    "gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, "
    "Tensor? b_hh=None) -> Tensor"
)
_LIBRARY.impl("gru_cell", torch.gru_cell, "CompositeExplicitAutograd")
torch.library.register_fake(
    "spikewright::gru_cell", lambda x, hidden, *weights: torch.empty_like(hidden), lib=_LIBRARY
)
RELAY = torch.ops.spikewright.relay.default
"""The value itself: a unit that turns a current into spikes, signed, where a product reads it."""
HAT = torch.ops.spikewright.hat.default
"""`max(0, 1 - |x|)`: the share of a place in what lies x places away, in linear interpolation."""
POWER = torch.ops.spikewright.pow.default
"""`x ** exponent`, with the exponents stored: each element knows for itself where it is defined."""
GRU_CELL = torch.ops.spikewright.gru_cell.default
"""A step of GRU; torch's own is fused on a GPU, where torch.export cannot tell its shape."""
