"""Batch norm with running statistics, which folds away."""

from __future__ import annotations

from spikewright.graph.batch_norm import BATCH_NORM
from spikewright.graph.ir import Kind, Operation
from spikewright.graph.rule import Rule, register
from spikewright.rules._arguments import only_first_reads_data


class BatchNorm(Rule):
    """`(x - mean) / sqrt(var + eps) * weight + bias`; `graph.batch_norm` folds it into weights."""

    targets = (BATCH_NORM,)
    kind = Kind.LINEAR
    called = "aten.batch_norm"

    def objection(self, op: Operation, ndim: int) -> str | None:
        return only_first_reads_data(op)


register(BatchNorm())
