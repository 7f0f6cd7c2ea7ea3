"""What the compiled engines share: a batch runs in equal parts, filled up to a compiled size."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from spikewright.graph.inputs import Batch, batch_of, tensors_of
from spikewright.graph.ir import Graph
from spikewright.network.byte_cache import ByteCache
from spikewright.network.compiler import BatchSizes, filled
from spikewright.network.kernels import exact_convolution
from spikewright.network.plan import SILENT, Observer, Plan

_WIDEST = 32 << 20
"""Bytes that the sums of the widest layer may take on a processor. Larger arrays are asked of the
system at every use, page by page, which was seen to take up to two thirds of the time."""


class CompiledEngine(ABC):
    """The compiled form of one network: code for each batch size met."""

    def __init__(self, plan: Plan) -> None:
        graph = self.graph_of(plan)
        self._operations = graph.operations
        self._widest = _widest(graph)
        self._sizes = BatchSizes()
        self._fixed: ByteCache[list[Tensor]] = ByteCache(_bytes_of)

    @staticmethod
    @abstractmethod
    def serves(plan: Plan) -> bool:
        """Whether this engine can run a plan compiled."""

    @staticmethod
    @abstractmethod
    def graph_of(plan: Plan) -> Graph:
        """The graph that this engine runs."""

    @staticmethod
    @abstractmethod
    def _fixed_of(plan: Plan) -> list[Tensor]:
        """The arguments of the compiled code that depend on the plan alone."""

    @abstractmethod
    def _run(
        self, plan: Plan, x: Batch, seed: int, sample_ids: Tensor, *, count_spikes: bool
    ) -> list[Tensor]:
        """The outputs for a part and, with `count_spikes`, the spikes sent at each site, `[B]`."""

    def fits(self, plan: Plan) -> bool:
        """Whether a plan differs from the first one in its tensors alone."""
        return self.graph_of(plan).operations == self._operations

    def __call__(
        self,
        plan: Plan,
        x: Batch,
        *,
        seed: int,
        sample_ids: Tensor,
        observer: Observer = SILENT,
    ) -> tuple[Tensor, ...]:
        """The outputs for a batch, as the uncompiled engine gives them.

        Args:
            plan: one that `fits`.
            x: a batch of all inputs.
            seed: of the random draws.
            sample_ids: int64 `[B]`.
            observer: only its `sent` is served.
        """
        size = self._part(plan, x)
        counting = observer.sent is not None
        answers: list[list[Tensor]] = []
        for part, ids in zip(x.split(size), sample_ids.split(size), strict=True):
            fill = self._sizes.fill(len(part))
            whole = batch_of([filled(tensor, fill) for tensor in tensors_of(part)])
            inputs = whole, seed, filled(ids, fill)
            outputs = self._run(plan, *inputs, count_spikes=counting)
            answers.append([output[: len(part)] for output in outputs])
        graph = self.graph_of(plan)
        whole = [torch.cat(parts) for parts in zip(*answers, strict=True)]
        outputs, sent = whole[: len(graph.outputs)], whole[len(graph.outputs) :]
        if observer.sent is not None:
            for op, spikes in zip(graph.neurons, sent, strict=True):
                observer.sent(op, spikes)
        return tuple(outputs)

    def _fixed_for(self, plan: Plan) -> list[Tensor]:
        """`_fixed_of` a plan, kept for the T used last."""
        return self._fixed.get(plan.steps, lambda: self._fixed_of(plan))

    def _part(self, plan: Plan, x: Batch) -> int:
        """Samples that run at a time: equal parts of a batch bound memory and suit caches."""
        if x.device.type != "cpu":
            return len(x)
        parts = math.ceil(self._widest * plan.source.dtype.itemsize * len(x) / _WIDEST)
        return math.ceil(len(x) / max(1, min(parts, len(x))))


def _bytes_of(tensors: list[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _widest(graph: Graph) -> int:
    """Numbers of the widest layer's sums for one sample."""
    exact = any(op.target is exact_convolution for op in graph.operations)
    return max(math.prod(op.shape) for op in graph.operations) * (3 if exact else 1)
