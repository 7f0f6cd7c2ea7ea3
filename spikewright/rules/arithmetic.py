"""Sums of branches, and products with constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Value, reads_data
from spikewright.graph.nodes import Meeting, Node, Refusal, per_channel, scale
from spikewright.graph.primitives import AFFINE, PRODUCT
from spikewright.graph.routes import Added, Moved, Scaled
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import COMPUTED
from spikewright.rules._products import NO_PRODUCT, Equation, Multiplying, elementwise

aten = torch.ops.aten

_ROUNDS = (
    "a division that rounds is not linear; divide without rounding_mode, or round outside the "
    "network (levels by hand are spikewright.QCFS)"
)

_PLAIN: dict[Any, Any] = {
    aten.div.Tensor_mode: aten.div.Tensor,
    aten.div.Scalar_mode: aten.div.Scalar,
}
"""Divisions that may round, and those that never do."""


class Sum(Rule):
    """Sums and differences of two values, or of a value and a constant."""

    targets = (
        aten.add.Tensor,
        aten.add.Scalar,
        aten.sub.Tensor,
        aten.sub.Scalar,
        aten.rsub.Scalar,
    )
    kind = Kind.LINEAR

    def route(self, op: Operation, graph: Graph) -> Added:
        constant = any(not reads_data(leaf) and leaf != 0 for leaf in op.args[:2])
        addends, multiplied = _addends(op), None
        second = op.args[0 if op.target is aten.rsub.Scalar else 1]
        if isinstance(second, Value) and abs(op.argument(2, "alpha", 1)) != 1:
            multiplied = len(addends) - 1
        return Added(addends, constant, multiplied)

    def words(self, op: Operation, graph: Graph) -> str:
        return "add" if len(_addends(op)) == 2 else ""  # a constant is no layer's work

    def nir(self, op: Operation, graph: Graph) -> Any:
        if op.target is not aten.add.Tensor:
            return super().nir(op, graph)
        names = _addends(op)
        constants = {o.name for o in graph.operations if o.kind is Kind.CONSTANT}
        if len(names) < 2 or constants & set(names):
            return Refusal("it adds a constant", "use the bias of the layer before it")
        if op.argument(2, "alpha", 1) != 1:
            return Refusal("NIR sums edges without weights", "multiply one branch instead")
        if any(graph.shapes[name] != op.shape for name in names):
            return Refusal("NIR sums values of one shape", "bring both branches to one shape")
        return Meeting(names)


class Product(Multiplying):
    """Products, element by element."""

    targets = (PRODUCT, aten.mul.Scalar)
    label = "scaling"

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        if isinstance(op.args[0], Value) and op.args[0] == op.args[1]:
            return replace(op, target=aten.square.default, args=op.args[:1])
        return op

    def equation(self, op: Operation, dimensions: Mapping[str, int]) -> Equation | str:
        return elementwise(op, dimensions)

    def route_of_linear(self, op: Operation, graph: Graph) -> Scaled:
        return Scaled()

    def words(self, op: Operation, graph: Graph) -> str:
        return "product" if op.kind is Kind.PRODUCT else self.label

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        return NO_PRODUCT if op.kind is Kind.PRODUCT else _scaled_in_nir(op, graph)


class Quotient(Rule):
    """Quotients; one by a signal is a product with its reciprocal, which is a unit."""

    targets = (
        aten.div.Tensor,
        aten.div.Scalar,
        aten.div.Tensor_mode,
        aten.div.Scalar_mode,
    )
    kind = Kind.LINEAR
    label = "scaling"

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        """A call that could round, and does not, is the plain one."""
        if op.target not in _PLAIN or op.argument(2, "rounding_mode") is not None:
            return op
        kept = {name: value for name, value in op.kwargs.items() if name != "rounding_mode"}
        return replace(op, target=_PLAIN[op.target], args=op.args[:2], kwargs=kept)

    def composite(self, op: Operation, constants: Set[str]) -> bool:
        divisor = op.argument(1, "other")
        return isinstance(divisor, Value) and divisor.name not in constants

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        return Kind.PRODUCT if self.composite(op, constants) else Kind.LINEAR

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        if op.argument(2, "rounding_mode") is not None:
            return _ROUNDS
        if not all(isinstance(leaf, Value) for leaf in op.args[:2]):
            return None
        equation = elementwise(op, dimensions)
        return equation if isinstance(equation, str) else None

    def write_out(self, op: Operation, page: Any) -> Value:
        over = page.call(aten.reciprocal.default, op.args[1])
        first = op.args[0]
        leaves = (first, over) if isinstance(first, Value) else (over, first)
        return page.call(PRODUCT, *leaves)

    def objection(self, op: Operation, ndim: int) -> str | None:
        if op.argument(2, "rounding_mode") is not None:
            return _ROUNDS
        return None

    def route(self, op: Operation, graph: Graph) -> Scaled:
        return Scaled()

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        return _scaled_in_nir(op, graph, divided=True)


class ShiftedProduct(Rule):
    """`shift + value * scale`, what batch norm becomes that no convolution takes in."""

    targets = (AFFINE,)
    kind = Kind.LINEAR
    weight_at = 2
    label = "scaling"

    def begins_signal(self, op: Operation, tensors: Mapping[str, Tensor]) -> bool:
        return False

    def composite(self, op: Operation, constants: Set[str]) -> bool:
        """Whether it is anything but constants around one signal, in their places."""
        return _signals_at(op, constants) != [1]

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        return Kind.PRODUCT if {1, 2} <= set(_signals_at(op, constants)) else Kind.LINEAR

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        equation = elementwise(replace(op, args=op.args[1:3]), dimensions)
        return equation if isinstance(equation, str) else None

    def write_out(self, op: Operation, page: Any) -> Value:
        first, second = op.args[1:3]
        same = first == second
        leaves = (first, second) if isinstance(first, Value) else (second, first)
        product = page.call(aten.square.default, first) if same else page.call(PRODUCT, *leaves)
        if op.kwargs.get("value", 1) != 1:
            product = page.call(PRODUCT, product, op.kwargs["value"])
        return page.call(aten.add.Tensor, product, op.args[0])

    def absorbed(self, op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
        return weight * scale

    def route(self, op: Operation, graph: Graph) -> Scaled:
        return Scaled(shifted=True)

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Refusal:
        shift, factor = graph.stored(op, 0, "input"), graph.stored(op, 2, "tensor2")
        if shift is None or factor is None:
            return COMPUTED
        parts = (factor * op.kwargs.get("value", 1), shift)
        if op.shape != graph.shapes[op.inputs[0]] or not _by_channel(parts, op.shape):
            return Refusal("NIR shifts whole channels only", "use batch norm")
        return per_channel(op.shape, *(t.flatten().expand(op.shape[0]) for t in parts))


class Negation(Rule):
    """The value with the other sign."""

    targets = (aten.neg.default,)
    kind = Kind.LINEAR

    def route(self, op: Operation, graph: Graph) -> Moved:
        return Moved(lambda values: values[op.inputs[0]], counted=False)

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...]:
        return (scale(torch.tensor(-1.0, dtype=graph.dtype), op.shape),)


def _signals_at(op: Operation, constants: Set[str]) -> list[int]:
    """The places of arguments that are signals."""
    leaves = enumerate(op.args[:3])
    return [at for at, v in leaves if isinstance(v, Value) and v.name not in constants]


def _by_channel(parts: Iterable[Tensor], shape: Sequence[int]) -> bool:
    """Whether constants beside a value `[C, *places]` are the same at all places of a channel."""
    places = len(shape) - 1
    along_last = (reversed(part.shape) for part in parts)
    return places >= 0 and all(
        size == 1 or back == places for sizes in along_last for back, size in enumerate(sizes)
    )


def _addends(op: Operation) -> tuple[str, ...]:
    return tuple(leaf.name for leaf in op.args[:2] if isinstance(leaf, Value))


def _scaled_in_nir(
    op: Operation, graph: Graph, divided: bool = False
) -> tuple[Node, ...] | Refusal:
    factor = graph.stored(op, 1, "other")
    if factor is None:
        factor = graph.stored(op, 0, "self")
    if factor is None:
        plain = op.argument(1, "other")
        if not isinstance(plain, (int, float)):
            return COMPUTED
        factor = torch.tensor(plain, dtype=graph.dtype)
    if op.shape != graph.shapes[op.inputs[0]] or factor.ndim > len(op.shape) + 1:
        return Refusal("NIR scales value by value, it changes the shape", "repeat the value first")
    return (scale(1 / factor if divided else factor, op.shape),)


register(Sum(), Product(), Quotient(), ShiftedProduct(), Negation())
