"""Products with stored matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.nodes import Node, Refusal, affine
from spikewright.graph.routes import Weighted, weighted_by
from spikewright.graph.rule import Rule, register
from spikewright.rules._arguments import COMPUTED, only_first_reads_data, stored_or_none

aten = torch.ops.aten


class Linear(Rule):
    """Weights `[O, I]`, bias `[O]`, of the last dimension."""

    targets = (aten.linear.default,)
    kind = Kind.LINEAR
    weight_at, bias_at, bias_dim = 1, 2, -1
    rounds_to_bf16 = True

    def objection(self, op: Operation, ndim: int) -> str | None:
        return only_first_reads_data(op)

    def takes_batch_norm(self, op: Operation) -> bool:
        return len(op.shape) == 1  # of a sequence `[B, N, F]` the rows are F, the channels N

    def absorbed(self, op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
        if any(n != 1 for n in scale.shape[1:-1]):
            return None
        return weight * scale.flatten()

    def route(self, op: Operation, graph: Graph) -> Weighted:
        return weighted_by(op, graph, self.bias_at, lambda present: present.sum(0, keepdim=True))

    def words(self, op: Operation, graph: Graph) -> str:
        weight = graph.stored(op, 1, "weight")
        return "linear" if weight is None else f"linear, {weight.shape[1]:,} → {len(weight):,}"

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        weight, shape = graph.stored(op, 1, "weight"), graph.shapes[op.inputs[0]]
        if weight is None or not stored_or_none(op, 2, "bias"):
            return COMPUTED
        if len(shape) != 1:
            return Refusal(
                f"NIR's Affine reads one vector, it reads {list(shape)}",
                "flatten before the linear layer, or use a 1x1 convolution",
            )
        return (affine(weight, graph.stored(op, 2, "bias")),)


class MatrixProduct(Rule):
    """A value times a stored matrix."""

    targets = (aten.matmul.default,)
    kind = Kind.LINEAR
    label = "matmul"

    def objection(self, op: Operation, ndim: int) -> str | None:
        return only_first_reads_data(op)

    def route(self, op: Operation, graph: Graph) -> Weighted:
        return weighted_by(op, graph)


register(Linear(), MatrixProduct())
