"""Whether values are whole numbers times one scale a channel, and which scale that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from spikewright.graph.evaluate import call
from spikewright.graph.ir import Graph, Kind, Operation
from spikewright.graph.routes import Added, Averaged, Chosen, Moved, Scaled
from spikewright.graph.rule import rule_of

_MOST_PARTS = 1 << 14
"""The largest number of values that an average is taken over."""
_SEARCHED = 64
"""Values that a search for that number looks at first; all are looked at in the end."""


@dataclass(frozen=True)
class Scale:
    """What a whole number stands for at every element of a value.

    Attributes:
        sites: names of the sites whose spikes it is made of.
        unit: `[1, *S]`, or `[B, *S]` where masks differ; a list of them for an operation of
            several values.
        averaged: whether numbers were averaged on the way, so that there are parts of units.
        product: whether the numbers are those of a product, which are divided by a window's length.
    """

    sites: frozenset[str]
    unit: Any
    averaged: bool = False
    product: bool = False


def scales_of(graph: Graph, indices: Mapping[str, Tensor] | None = None) -> dict[str, Scale]:
    """What a whole number stands for, by value, wherever units send whole numbers.

    Args:
        graph: with scales folded: its units send whole numbers. A value that is a sum of different
            things has no scale, and is left out.
        indices: inputs that are no signals, such as token ids and masks, by name, `[B, *S]`.
    """
    scales: dict[str, Scale] = {}
    constants: dict[str, Any] = dict(indices or {})
    batch = max((len(tensor) for tensor in constants.values()), default=1)
    for op in graph.operations:
        if op.kind is Kind.CONSTANT and all(name in constants for name in op.inputs):
            constants[op.name] = call(op, constants, graph.tensors, batch)
        known = {name: scales[name] for name in op.inputs if name in scales}
        if op.site is not None:
            ones = torch.ones(()).to(graph.like).expand(batch, *op.shape)  # takes no memory
            scales[op.name] = Scale(frozenset({op.site.name}), ones)
        elif known and len(known) + sum(n in constants for n in op.inputs) == len(op.inputs):
            scale = _scale(op, known, constants, graph, batch)
            if scale is not None:
                scales[op.name] = scale
    return scales


def _scale(
    op: Operation,
    known: Mapping[str, Scale],
    constants: Mapping[str, Any],
    graph: Graph,
    batch: int,
) -> Scale | None:
    """The scale of a value whose inputs have scales, or are constants."""
    units = {name: scale.unit for name, scale in known.items()}
    sites = frozenset[str]().union(*(scale.sites for scale in known.values()))
    averaged = any(scale.averaged for scale in known.values())
    product = any(scale.product for scale in known.values())
    if op.kind is Kind.PRODUCT:
        ones = {name: torch.ones_like(unit) for name, unit in units.items()}
        number = call(op, ones, graph.tensors, batch)  # of products in each sum
        unit = call(op, units, graph.tensors, batch) / number.clamp(min=1)
        return Scale(sites, unit, averaged, True)
    route = rule_of(op).route(op, graph)
    if isinstance(route, Added):
        first, *rest = (units.get(name) for name in route.addends)
        same = first is not None and all(u is not None and torch.equal(u, first) for u in rest)
        return Scale(sites, first, averaged, product) if same and not route.constant else None
    shifted = isinstance(route, Scaled) and route.shifted
    passes = op.kind is Kind.MAX or isinstance(route, Moved | Chosen | Averaged | Scaled)
    if shifted or not passes:
        return None
    unit = call(op, {**constants, **units}, graph.tensors, batch)
    return Scale(sites, unit, averaged or isinstance(route, Averaged), product)


class Train:
    """What was seen of one value, step by step.

    Attributes:
        whole: whether all of it were whole numbers times its scale.
        binary: whether these were 0 and what one spike of its sites is sent as, of either sign.
    """

    def __init__(self, scale: Scale, length: float) -> None:
        """See nothing yet.

        Args:
            scale: of the value.
            length: the sum of the weights of a window's steps.
        """
        self.whole = self.binary = True
        self._scale = scale
        self._length = length
        self._parts = 1

    @property
    def sites(self) -> frozenset[str]:
        """Names of the sites whose spikes it is made of."""
        return self._scale.sites

    def see(self, value: Tensor, weights: Tensor, factors: Tensor) -> None:
        """Look at `[t * B, *S]`.

        Args:
            value: at the next t steps.
            weights: of these, `[t]`; those of a rehearsal are 0.
            factors: what a spike of each of its sites is sent as at them, `[sites, t]`.
        """
        if not self.whole:
            return
        counted = weights > 0
        if not bool(counted.any()):  # all of it lies in a rehearsal
            return
        steps = value.unflatten(0, (len(weights), -1))[counted.to(value.device)]
        unit = self._scale.unit
        silent = (steps == 0) | (steps == -math.inf)  # a maximum never chooses what is padded so
        numbers = torch.where(silent, 0.0, steps / unit)
        places = [1] * (numbers.ndim - 1)
        rows = factors[:, counted].to(numbers).unique(dim=0).reshape(-1, len(steps), *places)
        spikes = torch.stack([_are_spikes(numbers / row) for row in rows])
        self.binary &= bool(spikes.any(0).all())
        if self.binary:
            return
        weights = weights[counted].to(numbers)
        numbers = numbers * weights.reshape(-1, *places)
        self.whole = self._are_whole(numbers * (self._length if self._scale.product else 1))

    def _are_whole(self, numbers: Tensor) -> bool:
        if not bool(numbers.isfinite().all()):
            return False
        odd = numbers[~_near_whole(numbers, self._parts)]
        if odd.numel() and self._scale.averaged:
            self._parts = _parts_of(odd, self._parts)
            odd = numbers[~_near_whole(numbers, self._parts)]
        return not odd.numel()


def _are_spikes(numbers: Tensor) -> Tensor:
    """Which numbers are 0, 1 or -1, up to rounding."""
    return ((numbers == 0) | _near_whole(numbers.abs(), 1.0)) & (numbers.abs() < 1.5)


def _near_whole(numbers: Tensor, parts: float) -> Tensor:
    """Which numbers are multiples of `1 / parts`, up to rounding."""
    rounding = 256 * torch.finfo(numbers.dtype).eps
    scaled = numbers * parts
    largest = float(scaled.abs().amax()) if scaled.numel() else 0.0
    return (scaled - scaled.round()).abs() <= min(0.05, rounding * max(1.0, largest))


def _parts_of(numbers: Tensor, parts: int) -> int:
    """The least multiple of `parts` that makes numbers whole; `parts` where none does."""
    some = numbers[:: -(-len(numbers) // _SEARCHED)]
    for times in range(2, _MOST_PARTS // parts):
        if bool(_near_whole(some, parts * times).all()):
            return parts * times
    return parts


def weighted(total: Any, value: Any, weights: Tensor) -> Any:
    """A running sum over time of `[t * B, *S]`, or of lists of them, each step with its weight."""

    def added(sum_so_far: Tensor | None, steps: Tensor) -> Tensor:
        rows = steps.unflatten(0, (len(weights), -1))
        if not rows.is_floating_point():
            return rows[0]  # a mask or indices, the same at every step
        kept = weights > 0  # what weighs nothing may be infinite
        now = torch.tensordot(weights[kept].to(rows), rows[kept.to(rows.device)], dims=1)
        return now if sum_so_far is None else sum_so_far + now

    if total is None:
        return tree_map(lambda steps: added(None, steps), value)
    return tree_map(added, total, value)
