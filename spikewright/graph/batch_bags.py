"""Bags of rows of a table, one after the other in a program, rewritten with the batch first."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from spikewright.graph.ir import BATCH, Kind, Operation, Stored, Value
from spikewright.graph.layouts import BatchMoved, Layout
from spikewright.graph.primitives import RESHAPE

aten = torch.ops.aten

BAGS = (aten._embedding_bag.default, aten._embedding_bag_forward_only.default)
"""Rows of a table, added up or averaged in bags; the first of four values is the answer."""

OTHER_BAGS = (
    "its bags have sizes, weights or padding of their own; give ids as a matrix [B, n], as many in "
    "every bag, or take nn.Embedding and sum over its places, which may be masked"
)
_MODES = (aten.sum.dim_IntList, aten.mean.dim, aten.amax.default)
"""What is done with a bag's rows, by the number of its mode."""


def in_bags(
    op: Operation, members: int | None, ids: Layout | None, tensors: dict[str, Tensor]
) -> tuple[Operation, ...]:
    """Bags of as many members each, as the rows of `[B, n]` ids, added up or averaged over n.

    Args:
        op: the call.
        members: between two of its offsets; None where they differ.
        ids: the layout of its ids in the model, `[B * n]`.
        tensors: the stored ones, to which a table without its padding is added.

    Raises:
        BatchMoved: where bags differ in more than their ids.
    """
    table, source = op.args[:2]
    mode, weights = op.argument(4, "mode", 0), op.argument(6, "per_sample_weights")
    padding = op.argument(8, "padding_idx", -1)
    alike = ids is not None and (ids.before, ids.after, len(ids.sizes)) == (1, members, 1)
    if not alike or weights is not None or not isinstance(table, Stored):
        raise BatchMoved(OTHER_BAGS)
    if padding >= 0 and mode != 0:
        raise BatchMoved(OTHER_BAGS)
    if padding >= 0:
        rows = tensors[table.name].clone()
        rows[padding] = 0
        table = Stored.made(tensors, f"{op.name}.table", rows)
    width = tensors[table.name].shape[1]
    matrix = replace(
        op,
        name=f"{op.name}.ids",
        target=RESHAPE,
        args=(source, [BATCH, members]),
        kwargs={},
        kind=Kind.CONSTANT,
        shape=(members,),
    )
    found = replace(
        matrix,
        name=f"{op.name}.rows",
        target=aten.embedding.default,
        args=(table, Value(matrix.name)),
        kind=Kind.LINEAR,
        shape=(members, width),
    )
    return matrix, found, replace(op, target=_MODES[mode], args=(Value(found.name), [1]), kwargs={})
