"""Comparisons and signs, as parts of functions of one signal: `torch.where(x > 0, x, 0.1 * x)`."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from spikewright.graph.ir import Kind, Operation
from spikewright.graph.rule import Rule, register
from spikewright.rules.functions import Function

aten = torch.ops.aten

_WITHIN = (
    "it compares what depends on the input with what is no function of the same signal; a choice "
    "between two signals is a product with weights between 0 and 1, such as torch.sigmoid(k * x)"
)


class Comparison(Rule):
    """True or false by the value of a signal; a unit may hold it, nothing else."""

    targets = (
        *(getattr(aten, name).Scalar for name in ("gt", "ge", "lt", "le", "eq", "ne")),
        *(getattr(aten, name).Tensor for name in ("gt", "ge", "lt", "le", "eq", "ne")),
        aten.logical_and.default,
        aten.logical_or.default,
        aten.logical_not.default,
        aten.__and__.Tensor,
        aten.__or__.Tensor,
        aten.bitwise_and.Tensor,
        aten.bitwise_or.Tensor,
        aten.bitwise_not.default,
        aten.isnan.default,
        aten.isinf.default,
    )
    kind = Kind.PRODUCT
    within_units = True

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        return None  # what is left of them once units are found is refused

    def left_over(self, op: Operation) -> str:
        return _WITHIN


class Sign(Function):
    """-1, 0 or 1, and other functions with jumps; one that is alone is a unit of such values."""

    targets = (aten.sign.default, aten.sgn.default, aten.heaviside.default)


register(Comparison(), Sign())
