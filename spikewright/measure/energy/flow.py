"""What travels on an edge: how many values of each kind arrive at every element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from spikewright.errors import AnalysisError
from spikewright.graph import Graph, Kind, Operation
from spikewright.graph.routes import Moved, Multiplied, Route
from spikewright.graph.rule import rule_of


class Form(StrEnum):
    """A kind of value, by what a connection that carries it must do."""

    SPIKES = "spikes"
    """Events of value 1 (or one constant, folded into weights): an addition each."""
    POWERS = "powers"
    """Those of the spikes that are signed powers of two: what they meet is shifted."""
    GRADED = "graded"
    """Events of several values, such as spikes times their thresholds: a multiplication each."""
    CURRENT = "current"
    """Numbers, 0 or not, at most one a step."""
    STEADY = "steady"
    """A number that is the same at every step: computed once."""
    PRESENT = "present"
    """Steady numbers that are not 0."""


EVENTS = (Form.SPIKES, Form.GRADED)


@dataclass(frozen=True)
class Flow:
    """The value of an operation, for a batch of samples and all steps of a window.

    Attributes:
        parts: how many values of each form arrive at each element, added up over the samples and
            steps of a batch, float64 `[1, *S]`; a form that is not there has none. For operations
            of several results, lists of such tensors.
        counts: the count of every element and sample `[R, *S]`, of spikes that have only moved
            since they were sent, where a max pool will ask for it; else None.
        constant: whether a constant is added somewhere on the way, at every step.
        value: of indices and masks, and of what is made of them, what they are.
    """

    parts: Mapping[Form, Any] = field(default_factory=dict)
    counts: Any = None
    constant: bool = False
    value: Any = None

    @property
    def varies(self) -> bool:
        """Whether anything in it changes from step to step."""
        return any(form in self.parts for form in (*EVENTS, Form.CURRENT))

    @property
    def only_events(self) -> bool:
        """Whether all of it is events."""
        return all(form in (*EVENTS, Form.POWERS) for form in self.parts) and not self.constant

    def part(self, form: Form, shape: tuple[int, ...]) -> Tensor:
        """One form's values, `[1, *S]`; zeros where there are none."""
        values = self.parts.get(form)
        return torch.zeros(1, *shape, dtype=torch.float64) if values is None else values

    def events(self) -> float:
        """Spikes and graded events, all elements."""
        return sum(float(self.parts[form].sum()) for form in EVENTS if form in self.parts)

    def moved(self, change: Callable[[Tensor], Any]) -> Flow:
        """The same values elsewhere: `change` is applied to every tensor."""
        parts = {form: change(values) for form, values in self.parts.items()}
        counts = None if self.counts is None else change(self.counts)
        return Flow(parts, counts, self.constant)

    def widened(self, shape: tuple[int, ...]) -> Flow:
        """The same values broadcast to a shape."""

        def change(values: Tensor) -> Tensor:
            lead = [1] * (len(shape) + 1 - values.ndim)
            return values.reshape(len(values), *lead, *values.shape[1:]).expand(len(values), *shape)

        return replace(self, counts=None).moved(change)

    @property
    def places(self) -> Tensor | None:
        """Indices or a mask, by which values move; None of what is none."""
        known = isinstance(self.value, Tensor) and not self.value.is_floating_point()
        return self.value.cpu() if known else None


def spikes_and_powers(spikes: Tensor, powers: Tensor, counts: Any = None) -> Flow:
    """A flow of spikes, `powers` of which are powers of two; both float64 `[1, *S]`."""
    shifted = {Form.POWERS: powers} if bool(powers.any()) else {}
    return Flow({Form.SPIKES: spikes, **shifted}, counts)


def evenly(form: Form, shape: tuple[int, ...], times: float, *, constant: bool = False) -> Flow:
    """A flow in which every element arrives equally often."""
    return Flow({form: torch.full((1, *shape), times, dtype=torch.float64)}, None, constant)


def summed(flows: Iterable[Flow]) -> Flow:
    """All that arrives by several flows of one shape."""
    parts: dict[Form, Tensor] = {}
    for flow in flows:
        for form, values in flow.parts.items():
            parts[form] = parts[form] + values if form in parts else values
    return Flow(parts)


def route_of(op: Operation, graph: Graph) -> Route | None:
    """The route of an operation; None for sites and constants, which are charged otherwise."""
    if op.site is not None or op.kind is Kind.CONSTANT:
        return None
    route = rule_of(op).route(op, graph)
    if route is None:
        raise AnalysisError(
            f"the operations of {op.operator} ({op.module or 'the model itself'}, {op.source}) are "
            "not counted yet: replace it in the model, or report it"
        )
    return route


def read_by_moves(graph: Graph, routes: Mapping[str, Route | None]) -> frozenset[str]:
    """The constants that values are moved by, such as masks, and those that they are made of."""
    wanted: set[str] = set()
    for op in reversed(graph.operations):
        moves = isinstance(routes[op.name], Moved) and not graph.constants.issuperset(op.inputs)
        if moves or op.name in wanted:
            wanted |= graph.constants.intersection(op.inputs)
    return frozenset(wanted)


def held_by_products(graph: Graph, routes: Mapping[str, Route | None]) -> frozenset[str]:
    """The values that products hold as sums, and those that have only moved since."""
    held: set[str] = set()
    for op in graph.operations:
        signals = set(op.inputs) - graph.constants
        moved = isinstance(routes[op.name], Moved) and bool(signals) and held >= signals
        if moved or isinstance(routes[op.name], Multiplied):
            held.add(op.name)
    return frozenset(held)
