"""Scale folding: thresholds move into the weights that follow, so that spikes stay 0 or 1.

A neuron's spike stands for its threshold. Every value carries a scale, as small as it can be
written (`[1, C, 1, 1]` for thresholds per channel), until a weighted operation takes it into its
weights. Where nothing can (an addition of branches, the output), one explicit multiplication by
a constant stands in the graph and is counted as what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Stored, Value
from spikewright.graph.primitives import PRODUCT
from spikewright.graph.rule import rule_of


def fold_scales(graph: Graph, scales: Mapping[str, Tensor]) -> Graph:
    """The graph whose neurons emit 0 or 1 where the original's values were 0 or a scale.

    Args:
        graph: without batch norm.
        scales: by site name, what a spike stands for, positive, `[1, C, 1, ...]` or `[1, 1, ...]`.

    Returns:
        A graph with new weights, computing the same function when each neuron operation's value
        is divided by its scale.
    """
    return _Folder(graph, scales).fold()


class _Folder:
    """One forward pass over the graph; one use."""

    def __init__(self, graph: Graph, scales: Mapping[str, Tensor]) -> None:
        self._graph = graph
        self._site_scales = scales
        self._tensors = dict(graph.tensors)
        self._scale: dict[str, Any] = {}  # a tensor, or a list of them for split's several values
        self._operations: list[Operation] = []
        self._folded_weights: dict[Any, Stored] = {}
        self._explicit_names: dict[str, str] = {}  # of values with their scales, by value

    def fold(self) -> Graph:
        for op in self._graph.operations:
            if op.site is not None:
                self._operations.append(self._with_explicit_scales(op))
                self._scale[op.name] = self._site_scales[op.site.name]
            elif any(name in self._scale for name in op.inputs):
                self._operations.append(self._folded(op))
            else:
                self._operations.append(op)
        outputs = tuple(self._explicit(name) for name in self._graph.outputs)
        return replace(
            self._graph, operations=tuple(self._operations), tensors=self._tensors, outputs=outputs
        ).pruned()

    def _folded(self, op: Operation) -> Operation:
        """The operation after it took in, or passed on, the scales of its inputs."""
        rule = rule_of(op)
        if rule.weight_at is not None and isinstance(op.args[rule.weight_at], Stored):
            weight = self._tensors[op.args[rule.weight_at].name]
            source = next(name for name in op.inputs if name in self._scale)  # a shift has none
            scale = self._scale[source]
            key = self._absorption(op, source)
            if key in self._folded_weights:  # the same weights at another time step, say
                return self._with_weight(op, rule.weight_at, self._folded_weights[key])
            folded = rule.absorbed(op, weight, scale)
            if folded is not None:
                made = Stored.made(self._tensors, op.name, folded, "folded")
                self._folded_weights[key] = made
                return self._with_weight(op, rule.weight_at, made)
        scales = {name: self._scale[name] for name in op.inputs if name in self._scale}
        passed = rule.passed(op, scales, self._graph)
        if passed is not None:
            self._scale[op.name] = passed
            return op
        if op.kind is Kind.PRODUCT and len(scales) == 2:
            return self._with_one_explicit_scale(op, scales)
        return self._with_explicit_scales(op)

    def _with_one_explicit_scale(self, op: Operation, scales: Mapping[str, Any]) -> Operation:
        """A product of which one factor's scale can pass, once the other's is multiplied in."""
        for name in scales:
            others = {other: scale for other, scale in scales.items() if other != name}
            passed = rule_of(op).passed(op, others, self._graph)
            if passed is not None:
                self._scale[op.name] = passed
                return op.rewired({name: self._explicit(name)})
        return self._with_explicit_scales(op)

    def _absorption(self, op: Operation, source: str) -> Any:
        """What the weights that take in the scale of a value depend on."""
        scale: Tensor = self._scale[source]
        numbers = (scale.dtype, scale.shape, scale.detach().cpu().numpy().tobytes())
        shape = self._graph.shapes[source]
        return op.target, repr(op.args[1:]), repr(op.kwargs), shape, numbers

    def _with_weight(self, op: Operation, position: int, weight: Stored) -> Operation:
        return replace(op, args=(*op.args[:position], weight, *op.args[position + 1 :]))

    def _with_explicit_scales(self, op: Operation) -> Operation:
        return op.rewired({name: self._explicit(name) for name in op.inputs})

    def _explicit(self, name: str) -> str:
        """The name of the value with its scale multiplied in, one operation for all its readers."""
        scale = self._scale.get(name)
        if scale is None:
            return name
        if isinstance(scale, list):
            raise AssertionError(f"{name}: several values are read by getitem only")
        if name not in self._explicit_names:
            maker = next(op for op in self._operations if op.name == name)
            self._explicit_names[name] = f"{name}.scaled"
            args = (Value(name), Stored.made(self._tensors, name, scale, "scaled"))
            self._operations.append(
                replace(
                    maker,
                    name=self._explicit_names[name],
                    target=PRODUCT,
                    args=args,
                    kwargs={},
                    kind=Kind.LINEAR,
                    site=None,
                    body=(),
                )
            )
        return self._explicit_names[name]
