"""Calls that multiply signals among other things, and the units in front of products."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from spikewright.graph.ir import BATCH, Kind, Operation, Stored, Value
from spikewright.graph.primitives import PRODUCT, RELAY
from spikewright.graph.rule import Rule, register
from spikewright.rules._products import WrittenOut

aten = torch.ops.aten


class Relay(Rule):
    """The current itself, as signed spikes; see `graph.relays`."""

    targets = (RELAY,)
    kind = Kind.UNIT


class Attention(WrittenOut):
    """`softmax(q k' * scale + mask) v`: a product, a softmax and a product."""

    targets = (aten.scaled_dot_product_attention.default,)

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        if op.argument(4, "dropout_p", 0.0):
            return "it drops attention at random in eval mode; pass dropout_p=0"
        known = {dimensions.get(leaf.name) for leaf in op.args[:3] if isinstance(leaf, Value)}
        if len(known) != 1 or min(n or 0 for n in known) < 3:
            return (
                "queries, keys and values are not signals of as many dimensions; give all of them "
                "as [B, heads, places, features], the batch first"
            )
        return None

    def write_out(self, op: Operation, page: Any) -> Value:
        ndim = 1 + max(len(page.shapes[x.name]) for x in op.args[:3] if isinstance(x, Value))
        q, k, v = (_of_one_sample(leaf, ndim, page) for leaf in op.args[:3])
        width = page.shape_of(q)[-1]
        scale = op.argument(6, "scale")
        if op.argument(7, "enable_gqa", False) and len(page.shape_of(q)) > 2:
            heads = page.shape_of(q)[-3]
            k, v = (_repeated(leaf, heads, page) for leaf in (k, v))
        q = page.call(PRODUCT, q, 1 / math.sqrt(width) if scale is None else scale)
        scores = page.call(aten.matmul.default, q, page.call(aten.transpose.int, k, -2, -1))
        mask = self._mask(op, page, page.shapes[scores.name][-2:])
        scores = scores if mask is None else page.call(aten.add.Tensor, scores, mask)
        given = op.argument(3, "attn_mask") is not None  # where it leaves no key, the answer is 0
        softmax = aten._safe_softmax.default if given else aten.softmax.int
        return page.call(aten.matmul.default, page.call(softmax, scores, -1), v)

    def _mask(self, op: Operation, page: Any, size: tuple[int, ...]) -> Any:
        """What is added to the scores, or None."""
        never = -math.inf
        if op.argument(5, "is_causal", False):
            seen = torch.ones(size, dtype=torch.bool).tril()
            return page.keep(torch.zeros(size, dtype=page.dtype).masked_fill(~seen, never))
        mask = op.argument(3, "attn_mask")
        if page.dtype_of(mask) is not torch.bool:
            return mask
        if isinstance(mask, Value):  # of every sample, or of the size of the batch
            ends = (page.keep(torch.tensor(end, dtype=page.dtype)) for end in (0.0, never))
            return page.call(aten.where.self, mask, *ends)
        known = page.constant(mask)
        zeros = torch.zeros(known.shape, dtype=page.dtype, device=known.device)
        return page.keep(zeros.masked_fill(~known, never))


class GatedUnit(WrittenOut):
    """`a * sigmoid(b)` of the halves a and b of a signal."""

    targets = (aten.glu.default,)

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        dim = op.argument(1, "dim", -1) % (1 + len(op.shape))
        return None if dim else "it halves the batch, which mixes samples"

    def write_out(self, op: Operation, page: Any) -> Value:
        (source,), dim = op.args[:1], op.argument(1, "dim", -1)
        dim %= 1 + len(op.shape)
        half = op.shape[dim - 1]
        a, b = (page.call(aten.slice.Tensor, source, dim, at, at + half) for at in (0, half))
        return page.call(PRODUCT, a, page.call(aten.sigmoid.default, b))


def _of_one_sample(leaf: Value | Stored, ndim: int, page: Any) -> Value | Stored:
    """A signal, or what is stored as `[1, ...]`, of as many dimensions as signals have."""
    known = page.constant(leaf) if isinstance(leaf, Stored) else None
    if known is None or known.ndim == ndim:
        return leaf
    return page.keep(known.reshape(*[1] * (ndim - known.ndim), *known.shape))


def _repeated(leaf: Value | Stored, heads: int, page: Any) -> Value | Stored:
    """Keys or values `[B, ..., G, N, F]` with as many heads as the queries, each several times."""
    *lead, groups, places, width = page.shape_of(leaf)
    if groups == heads:
        return leaf
    behind = len(lead) + 2
    wide = page.call(aten.unsqueeze.default, leaf, behind)
    wide = page.call(aten.expand.default, wide, [*[-1] * behind, heads // groups, -1, -1])
    return page.call(aten.reshape.default, wide, [BATCH, *lead, heads, places, width])


register(Relay(), Attention(), GatedUnit())
