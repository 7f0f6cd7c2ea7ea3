"""The calls of models that say something about dimensions, and where they say it."""

from __future__ import annotations

import operator
from typing import Any

import torch

from spikewright.graph.ir import Operation, Value
from spikewright.graph.primitives import GRU_CELL
from spikewright.graph.ranks import MARKS

aten = torch.ops.aten

VIEWS = (
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.unsqueeze.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    aten.contiguous.default,
)
"""Calls that leave the numbers in their order."""

PERMUTATIONS = (
    aten.permute.default,
    aten.transpose.int,
    aten.t.default,
    aten.movedim.int,
    aten.swapaxes.default,
)

BY_DIMENSION: dict[Any, tuple[int, str, Any]] = {
    aten.softmax.int: (1, "dim", None),
    aten._softmax.default: (1, "dim", None),
    aten.log_softmax.int: (1, "dim", None),
    aten._log_softmax.default: (1, "dim", None),
    aten.mean.dim: (1, "dim", None),
    aten.sum.dim_IntList: (1, "dim", None),
    aten.amax.default: (1, "dim", ()),
    aten.amin.default: (1, "dim", ()),
    aten.max.dim: (1, "dim", None),
    aten.min.dim: (1, "dim", None),
    aten.linalg_vector_norm.default: (2, "dim", None),
    aten.var.correction: (1, "dim", None),
    aten.std.correction: (1, "dim", None),
    aten.cumsum.default: (1, "dim", None),
    aten.select.int: (1, "dim", None),
    aten.slice.Tensor: (1, "dim", 0),
    aten.split.Tensor: (2, "dim", 0),
    aten.split_with_sizes.default: (2, "dim", 0),
    aten.unbind.int: (1, "dim", 0),
    aten.cat.default: (1, "dim", 0),
    aten.flip.default: (1, "dims", None),
    aten.roll.default: (2, "dims", None),
    aten.index_select.default: (1, "dim", None),
    aten.gather.default: (1, "dim", None),
    aten.repeat_interleave.self_int: (2, "dim", None),
    aten.diff.default: (2, "dim", -1),
    aten.glu.default: (1, "dim", -1),
}
"""Where calls name the dimensions along which they work: position, keyword and default."""

TRAILING: dict[Any, int] = {
    aten.linear.default: 1,
    aten.rms_norm.default: 0,
    aten.layer_norm.default: 0,
    aten.native_layer_norm.default: 0,
    aten.matmul.default: 2,
    aten.bmm.default: 2,
    aten.mm.default: 1,
    aten.scaled_dot_product_attention.default: 2,
    aten.lstm_cell.default: 1,
    aten.gru_cell.default: 1,
    GRU_CELL: 1,
    aten.rnn_tanh_cell.default: 1,
    aten.rnn_relu_cell.default: 1,
    aten.tril.default: 2,
    aten.triu.default: 2,
    aten.pixel_shuffle.default: 3,
    aten.pixel_unshuffle.default: 3,
    MARKS: 2,
}
"""How many of the last dimensions calls work on; of norms an argument tells."""

NORMS = (aten.rms_norm.default, aten.layer_norm.default, aten.native_layer_norm.default)

PLANES: dict[Any, tuple[Any, int]] = {
    aten.conv1d.default: (aten.conv2d.default, 1),
    aten.conv2d.default: (aten.conv3d.default, 2),
    aten.conv_transpose1d.default: (aten.conv_transpose2d.input, 1),
    aten.conv_transpose2d.input: (aten.conv_transpose3d.input, 2),
}
"""Convolutions, with those of a dimension more, which is that of what the batch is merged with."""

CHANNELWISE = (
    *(getattr(aten, f"{kind}_pool{n}d").default for kind in ("max", "avg") for n in (1, 2, 3)),
    *(getattr(aten, f"adaptive_avg_pool{n}d").default for n in (1, 2, 3)),
    *(getattr(aten, f"upsample_nearest{n}d").vec for n in (1, 2, 3)),
    aten.upsample_linear1d.vec,
    aten.upsample_bilinear2d.vec,
    aten.upsample_bicubic2d.vec,
)
"""Calls that do the same to every channel of a plane."""

ALIGNED = (
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.where.self,
    aten.masked_fill.Scalar,
    aten.masked_fill.Tensor,
    aten.maximum.default,
    aten.minimum.default,
    aten.max.other,
    aten.min.other,
    aten.pow.Tensor_Tensor,
    aten.clamp.Tensor,
    aten.addcmul.default,
    aten.lerp.Tensor,
    aten.lerp.Scalar,
    aten.type_as.default,
    aten.matmul.default,
    aten.baddbmm.default,
    aten.scaled_dot_product_attention.default,
)
"""Calls whose arguments are broadcast to one shape, from the last dimension on."""


SHAPED_ALIKE = (
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full_like.default,
    aten.empty_like.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
    aten.new_empty.default,
    aten.fill.Scalar,
    aten.fill.Tensor,
)
"""Constants in the shape of a value, or of its dtype."""


def reads_no_numbers(op: Operation) -> bool:
    """Whether a call depends on no signal's numbers: on its shape or dtype at most."""
    alike = op.target is aten.type_as.default and not isinstance(op.args[0], Value)
    return alike or op.target in SHAPED_ALIKE or not op.reads_data


BY_CHANNEL = (
    aten.prelu.default,
    aten.group_norm.default,
    aten.native_group_norm.default,
    aten.instance_norm.default,
)
"""Functions for which dimension 1 is that of channels."""

SINGLE = (
    operator.getitem,
    aten.neg.default,
    aten.add.Scalar,
    aten.sub.Scalar,
    aten.rsub.Scalar,
    aten.mul.Scalar,
    aten.div.Scalar,
    aten._to_copy.default,
)
"""Calls of one signal, value by value."""

SCATTERS = (aten.scatter.src, aten.scatter.value, aten.scatter_add.default)
"""Calls that write into as many samples as their indices have."""

RECURRENT = (
    aten.lstm.input,
    aten.gru.input,
    aten.rnn_tanh.input,
    aten.rnn_relu.input,
)
"""Layers over time, whose last argument says whether the batch comes first."""

BATCHED = (aten.bmm.default, aten.mm.default)
"""Products of matrices that `matmul` does for any dimensions before the last two."""
