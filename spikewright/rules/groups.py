"""Functions of a whole group of charges: softmax and the norms that take a sample's statistics.

Each is one unit: its neurons wait for the window of their group, compute the function of all its
mean inputs, and send their own value of it. Weights and bias of a norm are part of the function, so
that what the next weights read are spikes; thresholds per channel take up what the weights scale.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from spikewright.graph.ir import Kind, Operation, Site, Value
from spikewright.graph.primitives import AFFINE
from spikewright.graph.ranks import MARKS
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import OUTSIDE, keeps_batch

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
        wide = {reading.dtype, reading.source_dtype} <= {torch.float32, torch.float64}
        if op.argument(2, "dtype") is None or not (wide or reading.dtype is reading.source_dtype):
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


class GroupNorm(Group):
    """Less the mean, over the deviation, of groups of channels and all their places."""

    targets = (aten.group_norm.default,)

    def members(self, op: Operation) -> int:
        return math.prod(op.shape) // op.argument(1, "num_groups")


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
