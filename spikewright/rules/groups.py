"""Functions of a whole group of charges: softmax and the norms that take a sample's statistics.

Each is one unit: its neurons wait for the window of their group, compute the function of all its
mean inputs, and send their own value of it. Weights and bias of a norm are part of the function, so
that what the next weights read are spikes; thresholds per channel take up what the weights scale.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import BATCH, Kind, Operation, Site, Value
from spikewright.graph.primitives import AFFINE, PRODUCT
from spikewright.graph.ranks import MARKS
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import OUTSIDE, keeps_batch, of_one_dtype

aten = torch.ops.aten


class Group(Rule):
    """A function of groups of charges; its other arguments are constants."""

    kind = Kind.UNIT

    def site(self, op: Operation) -> Site | str:
        described = super().site(op)
        if isinstance(described, str):
            return described
        objection = self.refused(op)
        return objection or replace(described, group=self.members(op))

    def refused(self, op: Operation) -> str | None:
        """Why a call makes no unit, or None."""
        return None

    def members(self, op: Operation) -> int:
        """How many charges each value is a function of."""
        raise NotImplementedError


class Softmax(Group):
    """`exp(x) / sum(exp(x))` over a dimension, or its logarithm; inputs of -inf give 0."""

    targets = (aten.softmax.int, aten.log_softmax.int, aten._safe_softmax.default)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if op.argument(2, "dtype") is None or not of_one_dtype(reading):
            return op
        return replace(
            op, args=op.args[:2], kwargs={k: v for k, v in op.kwargs.items() if k == "dim"}
        )

    def refused(self, op: Operation) -> str | None:
        if op.argument(2, "dtype") is not None:
            return (
                f"it converts to {op.argument(2, 'dtype')}; keep one floating dtype throughout: "
                "call model.float()"
            )
        return keeps_batch([op.argument(1, "dim")], len(op.shape) + 1)

    def members(self, op: Operation) -> int:
        return op.shape[op.argument(1, "dim") % (len(op.shape) + 1) - 1]

    def elementary(self, op: Operation, page: Any) -> Value:
        x, dim = op.args[0], op.argument(1, "dim") % (len(op.shape) + 1)
        most = page.call(aten.amax.default, _unmasked(x, page), [dim], True)
        below = page.call(aten.sub.Tensor, x, most)
        powers = page.call(aten.exp.default, below)
        total = page.call(aten.sum.dim_IntList, powers, [dim], True)
        if op.function.startswith("log"):
            return page.call(aten.sub.Tensor, below, page.call(aten.log.default, total))
        return page.call(aten.mul.Tensor, powers, page.call(aten.reciprocal.default, total))


def _unmasked(x: Value, page: Any) -> Value:
    """Scores before a mask is put on them, whose maximum is none below theirs.

    A softmax is the same whatever is taken off all of its row. What is no mask stays: the maximum
    is that of biased scores where they are, with the bias that a mask holds between its numbers.
    """
    maker = page.maker(x)
    while maker is not None and maker.target in _MASKING:
        parts = maker.args[_MASKING[maker.target]]
        known = [(part, _fixed(part, page)) for part in parts]
        scores = [part for part, constant in known if constant is None]
        others = [constant for _, constant in known if constant is not None]
        if len(scores) != 1 or len(others) != 1 or maker.kwargs.get("alpha", 1) != 1:
            break
        (other,), adds = others, maker.target is aten.add.Tensor
        never = other <= _NEVER
        if not bool(never.any() if adds else never.all()):
            break
        (x,), bias = scores, other.masked_fill(never, 0)
        if adds and bool(bias.any()):
            return page.call(aten.add.Tensor, x, page.keep(bias))
        maker = page.maker(x)
    return x


def _fixed(leaf: Any, page: Any) -> Tensor | None:
    """A constant or a number as it is added to every sample; None of a signal."""
    if isinstance(leaf, int | float):
        return torch.tensor(float(leaf), dtype=page.dtype)
    known = page.constant(leaf)
    return known[:1].clone() if known is not None and isinstance(leaf, Value) else known


_MASKING: dict[Any, slice] = {
    aten.masked_fill.Scalar: slice(0, 3, 2),
    aten.masked_fill.Tensor: slice(0, 3, 2),
    aten.where.self: slice(1, 3),
    aten.where.ScalarOther: slice(1, 3),
    aten.where.ScalarSelf: slice(1, 3),
    aten.add.Tensor: slice(0, 2),
}
"""Calls that put masks on scores, and which arguments are these two."""
_NEVER = -50.0
"""What masks write: so low that a softmax leaves nothing of it beside scores."""


def _normed(x: Value, dims: list[int], eps: float, page: Any, *, centred: bool = True) -> Value:
    """`(x - mean) / sqrt(variance + eps)` over some dimensions; the mean is 0 if not `centred`."""
    if centred:
        x = page.call(aten.sub.Tensor, x, page.call(aten.mean.dim, x, dims, True))
    power = page.call(aten.mean.dim, page.call(aten.square.default, x), dims, True)
    root = page.call(aten.rsqrt.default, page.call(aten.add.Scalar, power, eps))
    return page.call(aten.mul.Tensor, x, root)


def _affine(x: Value, weight: Any, bias: Any, places: list[int], page: Any) -> Value:
    """A norm's weight and bias, reshaped to `places`; either may be None."""
    if weight is not None:
        x = page.call(PRODUCT, x, page.keep(page.constant(weight).reshape(places)))
    if bias is not None:
        x = page.call(aten.add.Tensor, x, page.keep(page.constant(bias).reshape(places)))
    return x


class SoftmaxOfCoreAten(Rule):
    """Softmax under the names that core ATen programs have for it."""

    targets = (aten._softmax.default, aten._log_softmax.default)
    kind = Kind.UNIT

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        target = getattr(aten, op.function.removeprefix("_")).int
        return Softmax().normal_form(replace(op, target=target, args=op.args[:2]), reading)


class LayerNorm(Group):
    """Less the mean, over the deviation, of the last dimensions; RMS norm takes no mean off."""

    targets = (aten.layer_norm.default, aten.rms_norm.default)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if op.target is not aten.rms_norm.default or op.argument(3, "eps") is not None:
            return op
        eps = torch.finfo(reading.dtype or torch.float32).eps  # what the call takes, by dtype
        return replace(op, args=(*op.args[:2], op.argument(2, "weight"), eps), kwargs={})

    def refused(self, op: Operation) -> str | None:
        if len(op.argument(1, "normalized_shape")) > len(op.shape):
            return f"it works across the batch dimension, which mixes samples; {OUTSIDE}"
        return None

    def members(self, op: Operation) -> int:
        return math.prod(op.argument(1, "normalized_shape"))

    def elementary(self, op: Operation, page: Any) -> Value:
        shape, weight = op.argument(1, "normalized_shape"), op.argument(2, "weight")
        rms = op.target is aten.rms_norm.default
        eps = op.argument(3, "eps") if rms else op.argument(4, "eps", 1e-5)
        dims = [len(op.shape) + 1 - back for back in range(len(shape), 0, -1)]
        x = _normed(op.args[0], dims, eps, page, centred=not rms)
        places = [1] * (len(op.shape) + 1 - len(shape)) + list(shape)
        return _affine(x, weight, None if rms else op.argument(3, "bias"), places, page)


class GroupNorm(Group):
    """Less the mean, over the deviation, of groups of channels and all their places."""

    targets = (aten.group_norm.default,)

    def members(self, op: Operation) -> int:
        return math.prod(op.shape) // op.argument(1, "num_groups")

    def elementary(self, op: Operation, page: Any) -> Value:
        groups, eps = op.argument(1, "num_groups"), op.argument(4, "eps", 1e-5)
        return _by_groups(op, groups, op.argument(2, "weight"), op.argument(3, "bias"), eps, page)


def _by_groups(op: Operation, groups: int, weight: Any, bias: Any, eps: float, page: Any) -> Value:
    """A norm of groups of channels with all their places."""
    grouped = [BATCH, groups, math.prod(op.shape) // groups]
    x = page.call(aten.reshape.default, op.args[0], grouped)
    x = page.call(aten.reshape.default, _normed(x, [2], eps, page), [BATCH, *op.shape])
    return _affine(x, weight, bias, [1, -1, *[1] * (len(op.shape) - 1)], page)


class NativeNorm(Rule):
    """Norms under the names that core ATen programs have for them; the statistics are dropped."""

    targets = (
        aten.native_layer_norm.default,
        aten._fused_rms_norm.default,
        aten.native_group_norm.default,
    )
    kind = Kind.UNIT
    reads_batch_size = True

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if op.target is aten.native_group_norm.default:
            x, weight, bias, _, _, _, groups, eps = op.args
            return replace(op, target=aten.group_norm.default, args=(x, groups, weight, bias, eps))
        layer = op.target is aten.native_layer_norm.default
        target = aten.layer_norm.default if layer else aten.rms_norm.default
        return LayerNorm().normal_form(replace(op, target=target), reading)


class InstanceNorm(Group):
    """Less the mean, over the deviation, of every channel's places.

    Where running statistics stand for those of the sample it is a product with constants.
    """

    targets = (aten.instance_norm.default,)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        of_sample, eps = op.argument(5, "use_input_stats"), op.argument(7, "eps")
        stored = [reading.tensor(op.args[at]) for at in range(1, 5)]
        weight, bias, mean, variance = stored
        shape = reading.shapes.get(op.args[0].name) if isinstance(op.args[0], Value) else None
        if of_sample or mean is None or variance is None or shape is None:
            return op
        scale = (variance.double() + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        places = (1, -1, *[1] * (len(shape) - 1))
        kept = (
            reading.keep(f"{op.name}.{name}", t.to(mean.dtype).reshape(places))
            for name, t in (("shift", shift), ("scale", scale))
        )
        shifted, scaled = kept
        return replace(op, target=AFFINE, args=(shifted, op.args[0], scaled), kwargs={})

    def members(self, op: Operation) -> int:
        return math.prod(op.shape[1:])

    def elementary(self, op: Operation, page: Any) -> Value:
        weight, bias, eps = op.argument(1, "weight"), op.argument(2, "bias"), op.argument(7, "eps")
        return _by_groups(op, op.shape[0], weight, bias, eps, page)


class Marks(Group):
    """1 at the place of a row's j-th largest value in row j, 0 elsewhere."""

    targets = (MARKS,)

    def members(self, op: Operation) -> int:
        return op.shape[-1]


class BatchStatistics(Rule):
    """Batch norm by the statistics of the batch it runs in."""

    targets = (aten._native_batch_norm_legit.no_stats,)
    kind = Kind.UNIT
    called = "aten.batch_norm"

    def site(self, op: Operation) -> Site | str:
        return (
            "it takes the statistics of the batch, so that a sample's answer depends on the "
            "others; use running statistics (track_running_stats=True) in eval mode"
        )


register(
    Softmax(),
    SoftmaxOfCoreAten(),
    LayerNorm(),
    GroupNorm(),
    NativeNorm(),
    InstanceNorm(),
    Marks(),
    BatchStatistics(),
)
