"""Products with stored matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Value, reads_data
from spikewright.graph.matrix import MatrixView
from spikewright.graph.nodes import Node, Refusal, affine
from spikewright.graph.primitives import PRODUCT
from spikewright.graph.routes import Weighted, weighted_by
from spikewright.graph.rule import Reading, Rule, register
from spikewright.rules._arguments import (
    COMPUTED,
    OUTSIDE,
    keeps_batch,
    only_first_reads_data,
    stored_or_none,
)
from spikewright.rules._products import NO_PRODUCT, Equation, Multiplying, matrices, subscripts

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

    def matrix(self, op: Operation, weight: Tensor) -> MatrixView:
        return MatrixView(weight[None], lambda rows: rows[0], lambda x: x.unsqueeze(-2), 1)

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


class MatrixProduct(Multiplying):
    """A value times a matrix, on either side; `x @ weight` is a linear layer."""

    targets = (
        aten.matmul.default,
        aten.mm.default,
        aten.bmm.default,
        aten.mv.default,
    )

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        first, second = op.args[:2]
        if op.target in (aten.mm.default, aten.bmm.default):
            first, second = (_of_every_sample(leaf, reading) for leaf in (first, second))
            op = replace(op, target=aten.matmul.default, args=(first, second))
        weight = reading.tensor(second)
        if op.target is not aten.matmul.default or weight is None or weight.ndim != 2:
            return op
        kept = reading.keep(f"{op.name}.weight", weight.T)
        return replace(op, target=aten.linear.default, args=(first, kept), kwargs={})

    def objection(self, op: Operation, ndim: int) -> str | None:
        first, second = op.args[:2]
        if op.target is aten.matmul.default and reads_data(second) and ndim < 3:
            return "it sums over the batch; write x @ weight.T"
        if reads_data(first) and ndim < 2:
            return f"it sums over the batch, which mixes samples; {OUTSIDE}"
        return None

    def equation(self, op: Operation, dimensions: Mapping[str, int]) -> Equation | str:
        return matrices(op, dimensions)

    def words(self, op: Operation, graph: Graph) -> str:
        return "matmul"

    def nir(self, op: Operation, graph: Graph) -> Refusal:
        return NO_PRODUCT if op.kind is Kind.PRODUCT else self.unwritten


class Contraction(Rule):
    """A value and a stored tensor, summed over dimensions that both have."""

    targets = (aten.inner.default, aten.tensordot.default)
    kind = Kind.LINEAR

    def objection(self, op: Operation, ndim: int) -> str | None:
        first, second = op.args[:2]
        if reads_data(first) and reads_data(second):
            return "every sample of one signal meets every sample of the other; use einsum"
        if op.target is aten.tensordot.default:
            return _keeps_first(first, op.args[2], ndim)
        if reads_data(first) and ndim < 2:
            return f"it sums over the batch, which mixes samples; {OUTSIDE}"
        return None

    def route(self, op: Operation, graph: Graph) -> Weighted:
        return weighted_by(op, graph)

    def words(self, op: Operation, graph: Graph) -> str:
        return "matmul"


class Addmm(Rule):
    """`beta * bias + alpha * (x @ weight)`, a linear layer where the bias is stored."""

    targets = (aten.addmm.default, aten.baddbmm.default)
    kind = Kind.LINEAR

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        bias = reading.tensor(_of_every_sample(op.args[0], reading))
        weight = reading.tensor(_of_every_sample(op.args[2], reading))
        if bias is None or weight is None or not isinstance(op.args[1], Value):
            return op
        rows = weight.shape[-1]
        if (
            weight.ndim != 2
            or bias.numel() not in (1, rows)
            or bias.numel() != bias.shape[-1:].numel()
        ):
            return op
        scaled = bias.flatten().expand(rows) * op.kwargs.get("beta", 1)
        kept = reading.keep(f"{op.name}.weight", weight.T * op.kwargs.get("alpha", 1))
        args = (op.args[1], kept, reading.keep(f"{op.name}.bias", scaled.contiguous()))
        return replace(op, target=aten.linear.default, args=args, kwargs={})

    def composite(self, op: Operation, constants: Set[str]) -> bool:
        signals = (leaf for leaf in op.args[1:3] if isinstance(leaf, Value))
        return len([leaf for leaf in signals if leaf.name not in constants]) == 2

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        return Kind.PRODUCT if self.composite(op, constants) else Kind.LINEAR

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        equation = matrices(replace(op, args=op.args[1:3]), dimensions)
        return equation if isinstance(equation, str) else equation.objection

    def write_out(self, op: Operation, page: Any) -> Value:
        product = page.call(aten.matmul.default, *op.args[1:3])
        added = op.args[0]
        if op.kwargs.get("alpha", 1) != 1:
            product = page.call(PRODUCT, product, op.kwargs["alpha"])
        if op.kwargs.get("beta", 1) == 0:
            return product
        if op.kwargs.get("beta", 1) != 1:
            product = page.call(PRODUCT, product, 1 / op.kwargs["beta"])
            return page.call(PRODUCT, page.call(aten.add.Tensor, product, added), op.kwargs["beta"])
        return page.call(aten.add.Tensor, product, added)

    def objection(self, op: Operation, ndim: int) -> str | None:
        return "its bias is not one number a column; write x @ weight + bias"


class Einsum(Multiplying):
    """Values and constants multiplied and summed as an equation of subscripts says."""

    targets = (aten.einsum.default,)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        """Of a batch of copies, one sample is read, which needs no subscript of the batch."""
        taken, arrow, given = op.args[0].replace(" ", "").partition("->")
        terms, operands = taken.split(","), list(op.args[1])
        for at, operand in enumerate(operands):
            batch = terms[at][:1]
            others = "".join(terms[:at] + terms[at + 1 :])
            sample = _of_every_sample(operand, reading)
            if sample is not operand and arrow and batch.isalpha() and batch in others:
                terms[at], operands[at] = terms[at][1:], sample
        if operands == list(op.args[1]):
            return op
        return replace(op, args=(f"{','.join(terms)}->{given}", operands, *op.args[2:]))

    def factors(self, op: Operation) -> Sequence[Any]:
        return op.args[1]

    def equation(self, op: Operation, dimensions: Mapping[str, int]) -> Equation | str:
        operands = self.factors(op)
        if len(operands) != 2:
            return "it multiplies more than two operands; write one einsum after the other"
        (left, right), result = subscripts(op.args[0], [dimensions[leaf.name] for leaf in operands])
        return Equation((left, right), result)

    def objection(self, op: Operation, ndim: int) -> str | None:
        taken, arrow, given = op.args[0].replace(" ", "").partition("->")
        operands = op.args[1]
        signals = [at for at, operand in enumerate(operands) if reads_data(operand)]
        terms = taken.split(",")
        term = terms.pop(signals[0])
        batch = "..." if term.startswith("...") else term[:1]
        if batch == "...":
            first = not arrow or given.startswith(batch)  # without an arrow, torch puts it first
            return None if first else "its batch is not the first dimension"
        elsewhere = any(batch in other for other in terms) or term.count(batch) != 1
        if elsewhere or (given and not given.startswith(batch)):
            return (
                f"its subscript '{batch}' is the batch, which must come first in the result and "
                "in no other operand"
            )
        return None

    def words(self, op: Operation, graph: Graph) -> str:
        return f"einsum {op.args[0].replace('->', ' → ')}"

    def nir(self, op: Operation, graph: Graph) -> Refusal:
        return NO_PRODUCT if op.kind is Kind.PRODUCT else self.unwritten


def _keeps_first(first: Any, dims: list[int], ndim: int) -> str | None:
    """Object to a contraction that takes the batch, or puts it behind a constant's dimensions."""
    if not reads_data(first):
        return "its constant stands first, and so do its dimensions; write the signal first"
    return keeps_batch(dims, ndim)


def _of_every_sample(leaf: Any, reading: Reading) -> Any:
    """What a batch of copies repeats, where it broadcasts; other arguments as they are."""
    maker = reading.maker(leaf)
    if maker is None or maker.kind is not Kind.CONSTANT or maker.target is not aten.expand.default:
        return leaf
    source = reading.tensor(maker.args[0])
    if source is None:
        return leaf
    lone = source.ndim == len(maker.shape) + 1 and len(source) == 1
    sample = source[0] if lone else source
    return reading.keep(f"{maker.name}.sample", sample) if sample.shape == maker.shape else leaf


register(Linear(), MatrixProduct(), Contraction(), Addmm(), Einsum())
