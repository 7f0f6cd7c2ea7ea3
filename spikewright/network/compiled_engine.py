"""What the compiled engines share: a batch runs in equal parts, filled up to a compiled size."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from spikewright.graph.inputs import Batch, batch_of, tensors_of
from spikewright.graph.ir import Graph
from spikewright.network.byte_cache import ByteCache
from spikewright.network.compiler import BatchSizes, filled
from spikewright.network.integers import DIGITS, exact_convolution
from spikewright.network.plan import SILENT, Observer, Plan

_WIDEST = 32 << 20
"""Bytes that the sums of the widest layer may take on a processor. Larger arrays are asked of the
system at every use, page by page, which was seen to take up to two thirds of the time."""

_SHARE_OF_CACHE = 3 / 8
"""Of the processor's last cache, what the sums of the widest layer may take."""

_LAST_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
"""Where Linux tells its size."""


@dataclass(frozen=True)
class Ran:
    """What the compiled code gave for a part of a batch.

    Attributes:
        outputs: `[B, *S]` each.
        sent: the spikes that each sample sent, `[B]` for every site, where they were counted.
        settled: see `Observer.settled`, `[B]`; None of networks that do not settle.
    """

    outputs: Sequence[Tensor]
    sent: Sequence[Tensor] = ()
    settled: Tensor | None = None

    def first(self, samples: int) -> Ran:
        """The same of the first samples alone."""
        outputs, sent = ([t[:samples] for t in tensors] for tensors in (self.outputs, self.sent))
        return Ran(outputs, sent, None if self.settled is None else self.settled[:samples])


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
        self, plan: Plan, x: Batch, seed: int, sample_ids: Tensor, observer: Observer = SILENT
    ) -> Ran:
        """What comes of a part; spikes are counted where `observer.sent` asks for them.

        Of the observer it calls `answer` alone.
        """

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
            observer: its `sent`, `answer` and `settled` are served.
        """
        size = len(x) if observer.answer is not None else self._part(plan, x)
        parts: list[Ran] = []
        for part, ids in zip(x.split(size), sample_ids.split(size), strict=True):
            samples, fill = len(part), self._sizes.fill(len(part))
            whole = batch_of([filled(tensor, fill) for tensor in tensors_of(part)])
            watching = _of_first(observer, samples)
            parts.append(self._run(plan, whole, seed, filled(ids, fill), watching).first(samples))
        if observer.sent is not None:
            sent = (torch.cat(of_site) for of_site in zip(*(p.sent for p in parts), strict=True))
            for op, spikes in zip(self.graph_of(plan).neurons, sent, strict=True):
                observer.sent(op, spikes)
        if observer.settled is not None:
            within = torch.full_like(sample_ids, plan.duration)
            after = [p.settled for p in parts if p.settled is not None]
            observer.settled(torch.cat(after) if after else within)
        return tuple(torch.cat(o) for o in zip(*(p.outputs for p in parts), strict=True))

    def _fixed_for(self, plan: Plan) -> list[Tensor]:
        """`_fixed_of` a plan, kept for the T used last."""
        return self._fixed.get(plan.steps, lambda: self._fixed_of(plan))

    def _part(self, plan: Plan, x: Batch) -> int:
        """Samples that run at a time: equal parts of a batch bound memory and suit caches."""
        if x.device.type != "cpu":
            return len(x)
        taken = self._widest * plan.source.dtype.itemsize * len(x)
        fewest = max(1, min(math.ceil(taken / _widest_bytes()), len(x)))
        counts = range(fewest, min(2 * fewest, len(x)) + 1)
        return math.ceil(len(x) / min(counts, key=lambda n: (-len(x) % n, n)))


def _of_first(observer: Observer, samples: int) -> Observer:
    """An observer of a batch that was filled up, which sees its first samples."""
    tell = observer.answer
    if tell is None:
        return observer

    def first(time: int, outputs: tuple[Tensor, ...]) -> None:
        tell(time, tuple(output[:samples] for output in outputs))

    return replace(observer, answer=first)


def _bytes_of(tensors: list[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _widest(graph: Graph) -> int:
    """Numbers of the widest layer's sums for one sample."""
    return max(
        math.prod(op.shape) * (DIGITS if op.target is exact_convolution else 1)
        for op in graph.operations
    )


@cache
def _widest_bytes() -> int:
    """What the sums of the widest layer may take: less than `_WIDEST` where caches are small."""
    try:
        size = _LAST_CACHE.read_text(encoding="ascii").strip()  # such as 32768K
    except OSError:
        return _WIDEST
    told = size[:-1].isdigit() and size[-1] == "K"
    return min(_WIDEST, int(_SHARE_OF_CACHE * int(size[:-1]) * 1024)) if told else _WIDEST
