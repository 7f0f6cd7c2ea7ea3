"""The audit of a network: it runs step by step, and what arrives where is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from spikewright.devices import cpu_by_default
from spikewright.graph.evaluate import call
from spikewright.graph.inputs import Batch, tensors_of
from spikewright.graph.ir import Kind, Operation
from spikewright.graph.masks import largest
from spikewright.graph.routes import Added, Averaged, Chosen, Moved, Scaled
from spikewright.graph.rule import rule_of
from spikewright.network.audit import Audit, Carried, Edge
from spikewright.network.plan import Observer, Plan
from spikewright.network.trains import Train, scales_of, weighted

_WHOLE = (Carried.SPIKES, Carried.COUNTS)
_GIVEN = (Carried.INPUT, Carried.CONSTANT)
_FLOATS = "neither spikes nor held counts, and no sum of them by linear operations"
_UNMET = {
    "product": "a factor of a product must be spikes or held counts",
    "max": "a maximum must choose among spikes or held counts",
}
_WHOLE_WINDOW = 1 - 1e-6
"""The shares of a window's steps, summed in the network's precision."""
_ROUNDING = 2.0**12
"""How far a mean over time may be from the value at the mean input, in units of rounding."""


class Auditor:
    """Watches one run of the step engine through `observer`; then `audit` judges what it saw."""

    @cpu_by_default()
    def __init__(self, plan: Plan, shown: Batch) -> None:
        """Prepare to watch a network.

        Args:
            plan: whose step graph is its scale-folded graph: no other kernels are put in.
            shown: what it will be shown, of which masks and indices are read.
        """
        self._plan = plan
        self._graph = plan.graph
        self._makers = {op.name: op for op in self._graph.operations}
        self._roles = {op.name: _role(op, plan) for op in self._graph.operations}
        ports = list(zip(self._graph.inputs, tensors_of(shown), strict=True))
        indices = {port.name: tensor for port, tensor in ports if port.dtype is not None}
        scales, length = scales_of(self._graph, indices), plan.total_weight
        self._trains = {
            name: Train(scales[name], length) for name in self._watched() if name in scales
        }
        self._constants = {op.name for op in self._graph.operations if op.kind is Kind.CONSTANT}
        self._means: dict[str, Any] = {}
        self._weights: dict[str, float] = {}
        self._seen: set[tuple[str, int]] = set()
        self._compared: set[str] = set()
        self._unlike: set[str] = set()  # of these, those that are not what their kind says
        self._unread = Counter(
            name for op in self._graph.operations for name in (*op.inputs, op.name)
        )

    @property
    def observer(self) -> Observer:
        """What the step engine calls."""
        return Observer(ran=self._watch)

    def _watched(self) -> set[str]:
        """The values that must be whole numbers, or may be."""
        names = set(self._graph.outputs)
        for op in self._graph.operations:
            names.update(op.inputs if self._roles[op.name] else ())
            names.update((op.name,) if op.kind in (Kind.UNIT, Kind.MAX) else ())
        return names

    def _watch(
        self, op: Operation, start: int, steps: int, inputs: tuple[Any, ...], value: Any
    ) -> None:
        weights = self._plan.weights_at(start, steps)
        shares = weights / self._plan.total_weight  # sums of masks near -3e38 stay finite
        arriving = dict(zip(op.inputs, inputs, strict=True)) if inputs else {}
        for name, values in {**arriving, op.name: value}.items():
            if (name, start) in self._seen:
                continue  # a layer emits again for a later stage
            if name in self._constants and self._weights.get(name, 0.0) > _WHOLE_WINDOW:
                continue  # it is the same while a network settles, and no more than before
            self._seen.add((name, start))
            self._means[name] = weighted(self._means.get(name), values, shares)
            self._weights[name] = self._weights.get(name, 0.0) + float(shares.sum())
            if name in self._trains and isinstance(values, Tensor):
                train = self._trains[name]
                sites = sorted(train.sites)
                factors = [self._plan.factors_at(site, start, steps) for site in sites]
                train.see(values, weights, torch.stack(factors))
        if self._plan.settling == 0 and self._is_over(op):
            self._compare(op, len(tree_leaves(value)[0]) // steps)

    def _is_over(self, op: Operation) -> bool:
        """Whether an operation and all that it reads have been seen for a whole window."""
        return all(self._weights.get(name, 0.0) > _WHOLE_WINDOW for name in (*op.inputs, op.name))

    def _compare(self, op: Operation, samples: int) -> None:
        """Compare the means, once, and drop those that no other operation is compared by."""
        if op.name in self._compared:
            return
        self._compared.add(op.name)
        if not self._commutes(op, samples):
            self._unlike.add(op.name)
        for name in (*op.inputs, op.name):
            self._unread[name] -= 1
            if not self._unread[name]:
                self._means.pop(name, None)

    @cpu_by_default()
    def audit(self, samples: int) -> Audit:
        """What was seen on so many samples."""
        for op in self._graph.operations:
            self._compare(op, samples)
        unlike = self._unlike
        carried: dict[str, Carried] = {}
        edges: list[Edge] = []
        for op in self._graph.operations:
            carried[op.name] = self._carried(op, carried, linear=op.name not in unlike)
            role = self._roles[op.name]
            if role is not None:
                edges += [self._edge(name, _named(op), role, carried) for name in op.inputs]
        for number, place in self._graph.structure.names.items():
            edges.append(self._edge(self._graph.outputs[number], place, "output", carried))
        misfits = tuple(
            f"{_named(op)} is taken for {'linear' if op.kind is Kind.LINEAR else f'a {op.kind}'}, "
            "but its mean over time is not what it makes of the mean of its input"
            + (f" ({op.source})" if op.source else "")
            for op in self._graph.operations
            if op.name in unlike
        )
        return Audit(tuple(edges), misfits, self._plan.steps, samples)

    def _commutes(self, op: Operation, samples: int) -> bool:
        """Whether the mean of an operation's value over time is its value at the mean input."""
        names = (*op.inputs, op.name)
        if op.kind in (Kind.UNIT, Kind.CONSTANT) or not all(n in self._means for n in names):
            return True  # a layer of neurons, or the same at every step
        means = {name: self._means[name] for name in names}
        expected = call(op, means, self._graph.tensors, samples)
        pairs = zip(tree_leaves(expected), tree_leaves(means[op.name]), strict=True)
        scale = max(_largest(means[name]) for name in names)
        return all(_near(one, other, scale) for one, other in pairs)

    def _carried(self, op: Operation, carried: Mapping[str, Carried], *, linear: bool) -> Carried:
        """What a value is, from what was seen of it and of those that it is made of."""
        inputs = [carried.get(name, Carried.INPUT) for name in op.inputs]
        if op.kind is Kind.CONSTANT:
            return Carried.CONSTANT
        if op.kind is not Kind.UNIT and all(kind in _GIVEN for kind in inputs):
            return Carried.INPUT
        train = self._trains.get(op.name)
        if train is not None and train.whole and op.name in self._weights:
            return Carried.SPIKES if train.binary else Carried.COUNTS
        sums = op.kind in (Kind.LINEAR, Kind.PRODUCT) and linear
        return Carried.CURRENTS if sums and Carried.FLOATS not in inputs else Carried.FLOATS

    def _edge(self, name: str, reader: str, role: str, carried: Mapping[str, Carried]) -> Edge:
        kind = carried.get(name, Carried.INPUT)
        objection = _FLOATS if kind is Carried.FLOATS else ""
        if role == "product" and kind not in (*_WHOLE, Carried.CONSTANT):
            objection = _UNMET[role]
        if role == "max" and kind is Carried.CURRENTS:
            objection = _UNMET[role]
        return Edge(self._origin(name, carried), reader, role, kind, objection)

    def _origin(self, name: str, carried: Mapping[str, Carried]) -> str:
        """Where a value comes from, before it was moved about and scaled."""
        while (maker := self._makers.get(name)) is not None:
            route = None if maker.site else rule_of(maker).route(maker, self._graph)
            moved = isinstance(route, Moved) or (isinstance(route, Scaled) and not route.shifted)
            if not moved or len(maker.inputs) != 1 or maker.kind is not Kind.LINEAR:
                return _named(maker)
            (before,) = maker.inputs
            if carried[name] is Carried.FLOATS and carried.get(before) is not Carried.FLOATS:
                return _named(maker)  # what was moved about was no float yet
            name = before
        places = self._graph.call.names
        inputs = {port.name: number for number, port in enumerate(self._graph.inputs)}
        return places.get(inputs[name], name) if name in inputs else name


def _role(op: Operation, plan: Plan) -> str | None:
    """What an operation is to what arrives at it; None where it moves, averages, adds or scales."""
    if op.kind in (Kind.PRODUCT, Kind.MAX):
        return str(op.kind)
    if op.kind is not Kind.LINEAR:
        return None
    route = rule_of(op).route(op, plan.graph)
    return None if isinstance(route, Moved | Chosen | Averaged | Added | Scaled) else "weights"


def _named(op: Operation) -> str:
    """The site of a unit, the module path of another operation, with the operation."""
    place = op.module if op.site is None else op.site.name
    named = not place or place.partition(":")[0] == op.function
    return place or op.function if named else f"{place} ({op.function})"


def _largest(values: Any) -> float:
    """The largest magnitude among values, but for infinities and what masks write for them."""
    leaves = [t for t in tree_leaves(values) if isinstance(t, Tensor) and t.is_floating_point()]
    return max(map(largest, leaves), default=0.0)


def _near(one: Tensor, other: Tensor, scale: float) -> bool:
    """Whether values are equal up to rounding; `scale` is the size of what they are made of."""
    if not one.is_floating_point():
        return True
    one, other = (v.nan_to_num(nan=torch.nan) for v in (one, other))  # infinities are the largest
    least = max(scale, _largest(other), torch.finfo(one.dtype).tiny)
    size = other.abs().clamp(min=least)
    apart = (one / size - other / size).abs()
    return bool((apart <= _ROUNDING * torch.finfo(one.dtype).eps).all())
