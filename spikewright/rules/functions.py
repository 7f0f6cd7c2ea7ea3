"""Functions of one signal, value by value, other than rectifiers: units with signed counts."""

from __future__ import annotations

from dataclasses import replace

import torch

from spikewright.graph.ir import Kind, Operation, Site
from spikewright.graph.primitives import HAT, POWER
from spikewright.graph.rule import Reading, Rule, register

aten = torch.ops.aten


class Function(Rule):
    """A function of one signal; other arguments are constants."""

    targets = (
        aten.abs.default,
        aten.asinh.default,
        aten.atan.default,
        aten.celu.default,
        aten.cos.default,
        aten.cosh.default,
        aten.elu.default,
        aten.erf.default,
        aten.erfc.default,
        aten.exp.default,
        aten.exp2.default,
        aten.expm1.default,
        aten.gelu.default,
        aten.hardsigmoid.default,
        aten.hardswish.default,
        aten.log_sigmoid.default,
        aten.mish.default,
        aten.prelu.default,
        aten.reciprocal.default,
        aten.selu.default,
        aten.sigmoid.default,
        aten.silu.default,
        aten.sin.default,
        aten.sinc.default,
        aten.sinh.default,
        aten.softplus.default,
        aten.square.default,
        aten.tanh.default,
        HAT,
    )
    kind = Kind.UNIT


class FromZero(Function):
    """A function that is defined from 0 on, or from -1."""

    targets = (
        aten.log.default,
        aten.log10.default,
        aten.log1p.default,
        aten.log2.default,
        aten.rsqrt.default,
        aten.sqrt.default,
    )

    def site(self, op: Operation) -> Site | str:
        found = super().site(op)
        least = -1.0 if op.target is aten.log1p.default else 0.0
        return found if isinstance(found, str) else replace(found, least=least)


class Power(Function):
    """A signal to a constant power, or a constant to the power of a signal."""

    targets = (aten.pow.Tensor_Scalar, aten.pow.Tensor_Tensor, aten.pow.Scalar, POWER)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        exponent = reading.tensor(op.args[1])
        floating = exponent is not None and exponent.is_floating_point()
        return replace(op, target=POWER) if floating else op

    def site(self, op: Operation) -> Site | str:
        found = super().site(op)
        if isinstance(found, str) or op.target is not aten.pow.Tensor_Scalar:
            return found
        return found if float(op.args[1]).is_integer() else replace(found, least=0.0)

    def evaluated(self, op: Operation) -> tuple[str, int]:
        """Whole powers are products: a square for every bit but the first, and for a 1 one more."""
        power = op.args[1] if op.target is aten.pow.Tensor_Scalar else 0
        if power < 1 or not float(power).is_integer():
            return super().evaluated(op)
        return "mul", int(power).bit_length() + int(power).bit_count() - 2


class Numbers(Function):
    """`nan_to_num`, which after a softmax gives 0 where a mask leaves nothing."""

    targets = (aten.nan_to_num.default,)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        source = reading.maker(op.args[0])
        if source is None or source.function != "softmax":
            return op
        if op.argument(1, "nan", None) not in (None, 0):
            return op
        args = (source.args[0], source.argument(1, "dim"))
        return replace(op, target=aten._safe_softmax.default, args=args, kwargs={})


register(Function(), FromZero(), Power(), Numbers())
