"""The table of operations: for each, what it is and which of its options are modelled.

An operation that is not in the table, or whose options a rule does not model, is refused; nothing
is passed over in silence. A rule is asked only about operations that read data; those that read
none are constants whatever they are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from spikewright.graph.ir import BATCH, Kind, Operation, Value, walk

aten = torch.ops.aten

Objection = Callable[[Operation, int], str | None]
"""Says why an operation (with data of so many dimensions, batch included) is refused, or None."""


@dataclass(frozen=True)
class Rule:
    """What the table knows of an operation.

    Attributes:
        kind: linear or max (activations have a table of their own).
        objection: says why options of a call are not modelled, or None.
    """

    kind: Kind
    objection: Objection = lambda op, ndim: None


def argument(op: Operation, position: int, name: str, default: Any = None) -> Any:
    """An argument, wherever the call put it."""
    if position < len(op.args):
        return op.args[position]
    return op.kwargs.get(name, default)


def reads_data(tree: Any) -> bool:
    """Whether nested arguments hold a value that depends on the input."""
    return any(isinstance(leaf, Value) for leaf in walk(tree))


def _only_first(op: Operation, ndim: int) -> str | None:
    if reads_data((op.args[1:], op.kwargs)):
        return "its weights depend on the input, which makes it a product of two signals"
    return None


def _middle(op: Operation, ndim: int) -> str | None:
    if reads_data((op.args[0], op.args[2:])):
        return "only shift + scale * signal with constant shift and scale is linear"
    return None


def _one_factor(op: Operation, ndim: int) -> str | None:
    if reads_data(op.args[:1]) and reads_data((op.args[1:], op.kwargs)):
        return "it multiplies two signals; only products with constants are linear"
    return None


def _numerator(op: Operation, ndim: int) -> str | None:
    if reads_data((op.args[1:], op.kwargs)):
        return "it divides by a signal; only division by constants is linear"
    if argument(op, 2, "rounding_mode") is not None:
        return "a division that rounds is not linear"
    return None


def _keeps_batch(position: int, name: str, default: Any = None) -> Objection:
    """Refuse dimension arguments that name the batch dimension, or none at all."""

    def objection(op: Operation, ndim: int) -> str | None:
        dims = argument(op, position, name, default)
        if dims is None or dims == [] or any(d % ndim == 0 for d in walk(dims)):
            return "it works across the batch dimension, which mixes samples"
        return None

    return objection


def _stack(op: Operation, ndim: int) -> str | None:
    return _keeps_batch(1, "dim", 0)(op, ndim + 1)


def _slice(op: Operation, ndim: int) -> str | None:
    start, end = argument(op, 2, "start"), argument(op, 3, "end")
    whole = start in (None, 0) and (end is None or end is BATCH or end >= 2**31)
    if argument(op, 1, "dim", 0) % ndim == 0 and not (whole and argument(op, 4, "step", 1) == 1):
        return "it slices the batch dimension, which drops samples"
    return None


def _permute(op: Operation, ndim: int) -> str | None:
    if argument(op, 1, "dims")[0] % ndim != 0:
        return "it moves the batch dimension; keep the batch first"
    return None


def _padding(op: Operation, ndim: int) -> str | None:
    if len(argument(op, 1, "pad")) > 2 * (ndim - 1):
        return "it pads the batch dimension"
    return None


def _same_dtype(op: Operation, ndim: int) -> str | None:
    dtype = argument(op, 1, "dtype")
    return None if dtype is None else f"it converts to {dtype}; keep one floating dtype throughout"


CONVOLUTIONS: tuple[Any, ...] = (
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv3d.default,
    aten.conv1d.padding,
    aten.conv2d.padding,
    aten.conv3d.padding,
)
TRANSPOSED_CONVOLUTIONS: tuple[Any, ...] = (
    aten.conv_transpose1d.default,
    aten.conv_transpose2d.input,
    aten.conv_transpose3d.input,
)
MAX_POOLS: tuple[Any, ...] = (
    aten.max_pool1d.default,
    aten.max_pool2d.default,
    aten.max_pool3d.default,
)
PLANE_MEANS: tuple[Any, ...] = (
    aten.avg_pool1d.default,
    aten.avg_pool2d.default,
    aten.avg_pool3d.default,
    aten.adaptive_avg_pool1d.default,
    aten.adaptive_avg_pool2d.default,
    aten.adaptive_avg_pool3d.default,
    aten.upsample_nearest1d.vec,
    aten.upsample_nearest2d.vec,
    aten.upsample_nearest3d.vec,
    aten.upsample_linear1d.vec,
    aten.upsample_bilinear2d.vec,
    aten.upsample_trilinear3d.vec,
)
"""Weighted means within a channel's plane: average pooling and upsampling."""

REARRANGING: tuple[Any, ...] = (
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.permute.default,
    aten.transpose.int,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.select.int,
    aten.slice.Tensor,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.flip.default,
    aten.expand.default,
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    operator.getitem,
)
"""Operations that only move the values of one input, or keep some of them."""

LINEAR = Rule(Kind.LINEAR)
WEIGHTED = Rule(Kind.LINEAR, _only_first)
POOL = Rule(Kind.MAX)

RULES: dict[Any, Rule] = {
    **dict.fromkeys(CONVOLUTIONS + TRANSPOSED_CONVOLUTIONS, WEIGHTED),
    aten.linear.default: WEIGHTED,
    aten.matmul.default: WEIGHTED,
    aten._native_batch_norm_legit_no_training.default: WEIGHTED,
    **dict.fromkeys(MAX_POOLS, POOL),
    **dict.fromkeys(PLANE_MEANS, LINEAR),
    **dict.fromkeys(
        (
            aten.add.Tensor,
            aten.add.Scalar,
            aten.sub.Tensor,
            aten.sub.Scalar,
            aten.rsub.Scalar,
            aten.neg.default,
            aten.clone.default,
            aten.alias.default,
            aten.detach.default,
            aten.pixel_shuffle.default,
            aten.view.default,
            aten._unsafe_view.default,
            aten.reshape.default,
            aten.expand.default,
        ),
        LINEAR,
    ),
    aten.mul.Tensor: Rule(Kind.LINEAR, _one_factor),
    aten.mul.Scalar: LINEAR,
    aten.div.Tensor: Rule(Kind.LINEAR, _numerator),
    aten.div.Scalar: LINEAR,
    aten.addcmul.default: Rule(Kind.LINEAR, _middle),
    aten.constant_pad_nd.default: Rule(Kind.LINEAR, _padding),
    aten.pad.default: Rule(Kind.LINEAR, _padding),
    aten._to_copy.default: Rule(Kind.LINEAR, _same_dtype),
    aten.mean.dim: Rule(Kind.LINEAR, _keeps_batch(1, "dim")),
    aten.sum.dim_IntList: Rule(Kind.LINEAR, _keeps_batch(1, "dim")),
    aten.cat.default: Rule(Kind.LINEAR, _keeps_batch(1, "dim", 0)),
    aten.stack.default: Rule(Kind.LINEAR, _stack),
    aten.split.Tensor: Rule(Kind.LINEAR, _keeps_batch(2, "dim", 0)),
    aten.split_with_sizes.default: Rule(Kind.LINEAR, _keeps_batch(2, "dim", 0)),
    aten.unbind.int: Rule(Kind.LINEAR, _keeps_batch(1, "dim", 0)),
    aten.flip.default: Rule(Kind.LINEAR, _keeps_batch(1, "dims")),
    aten.select.int: Rule(Kind.LINEAR, _keeps_batch(1, "dim")),
    aten.index_select.default: Rule(Kind.LINEAR, _keeps_batch(1, "dim")),
    aten.unsqueeze.default: LINEAR,
    aten.squeeze.dim: Rule(Kind.LINEAR, _keeps_batch(1, "dim")),
    aten.squeeze.dims: Rule(Kind.LINEAR, _keeps_batch(1, "dim")),
    aten.transpose.int: Rule(Kind.LINEAR, _keeps_batch(1, "dim0")),
    aten.permute.default: Rule(Kind.LINEAR, _permute),
    aten.slice.Tensor: Rule(Kind.LINEAR, _slice),
}

ADVICE: dict[str, str] = {
    "sigmoid": "gates (squeeze-and-excitation) and sigmoids have no spiking form; retrain without",
    "silu": "retrain with ReLU or spikewright.QCFS in place of SiLU",
    "gelu": "retrain with ReLU or spikewright.QCFS in place of GELU",
    "hardswish": "retrain with ReLU or spikewright.QCFS in place of Hardswish",
    "hardsigmoid": "retrain without the gate",
    "leaky_relu": "negative slopes need signed spikes; retrain with ReLU",
    "elu": "retrain with ReLU",
    "prelu": "negative slopes need signed spikes; retrain with ReLU",
    "tanh": "retrain with ReLU",
    "layer_norm": "its statistics depend on the sample; use batch norm, which folds away",
    "group_norm": "its statistics depend on the sample; use batch norm, which folds away",
    "instance_norm": "its statistics depend on the sample; use batch norm, which folds away",
    "batch_norm": "use batch norm with running statistics (track_running_stats=True) in eval mode",
    "softmax": "convert the model up to its logits and apply the softmax to the result",
    "log_softmax": "convert the model up to its logits and apply the softmax to the result",
    "scaled_dot_product_attention": "attention multiplies signals with each other; not convertible",
    "native_dropout": "dropout that stays on in eval mode; pass training=self.training",
    "bernoulli": "random operations inside the model; call model.eval() and remove them",
    "adaptive_max_pool2d": "use max_pool2d with an explicit kernel",
    "max": "use max pooling (nn.MaxPool2d), which has a rule",
    "amax": "use max pooling (nn.MaxPool2d), which has a rule",
}


def advice(op: Operation) -> str:
    """What to do about an operation that has no rule."""
    base = op.operator.removeprefix("aten.").split(".")[0].strip("_")
    for name in sorted(ADVICE, key=len, reverse=True):
        if name in (base, base.removeprefix("native_")) or (len(name) > 4 and name in base):
            return ADVICE[name]
    return "replace it in the model by supported operations, or convert only the part before it"
