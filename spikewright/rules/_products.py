"""What all products of two signals share: which are products, which mix samples, what passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spikewright.graph.ir import Graph, Kind, Operation, Value
from spikewright.graph.nodes import Refusal
from spikewright.graph.routes import Route, multiplied_by, weighted_by
from spikewright.graph.rule import Rule
from spikewright.rules._scales import compressed

NO_PRODUCT = Refusal(
    "NIR has no node that multiplies two signals", "export the part of the network before it"
)
_FIRST = (
    "let its letter come first and once in every term, as in 'bij,bjk->bik'; a product of "
    "different samples belongs outside the model"
)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Equation:
    """The subscripts of a product, one letter a dimension, as `torch.einsum` has them.

    Attributes:
        factors: of the left and the right factor.
        result: of the result; a letter that is not in it is summed over.
    """

    factors: tuple[str, str]
    result: str

    @property
    def objection(self) -> str | None:
        """Why the product mixes samples, whose dimension comes first in either factor, or None."""
        left, right = self.factors
        batch = left[:1]
        if not batch or right[:1] != batch or self.result[:1] != batch:
            return (
                f"the batch is not the first dimension of both signals and of the product; {_FIRST}"
            )
        if any(term.count(batch) != 1 for term in (left, right, self.result)):
            return f"it reads the batch dimension twice; {_FIRST}"
        return None

    def scale(self, scales: Sequence[Tensor | None]) -> Tensor | None:
        """The scale of the product, or None where one varies along a dimension that is summed over.

        Args:
            scales: of the factors, broadcastable to `[1, *S]`, or None of those that have none.
        """
        product: Tensor | None = None
        for term, scale in zip(self.factors, scales, strict=True):
            if scale is None:
                continue
            if len(set(term)) != len(term) or scale.ndim != len(term):
                return None
            sizes = dict(zip(term, scale.shape, strict=True))
            if any(size != 1 for letter, size in sizes.items() if letter not in self.result):
                return None
            kept = [letter for letter in self.result if letter in term]
            summed = [at for at, letter in enumerate(term) if letter not in self.result]
            ordered = scale.permute([term.index(letter) for letter in kept] + summed)
            placed = ordered.reshape([sizes.get(letter, 1) for letter in self.result])
            product = placed if product is None else product * placed
        return None if product is None else compressed(product)


class WrittenOut(Rule):
    """A call of products and functions that is written out wherever it stands."""

    kind = Kind.PRODUCT

    def composite(self, op: Operation, constants: Set[str]) -> bool:
        return True


class Multiplying(Rule):
    """An operation that is linear in one signal, and a product of two."""

    kind = Kind.LINEAR

    def factors(self, op: Operation) -> Sequence[Any]:
        """The arguments that are multiplied with each other."""
        return op.args[:2]

    def equation(self, op: Operation, dimensions: Mapping[str, int]) -> Equation | str:
        """The subscripts of a product of two signals, or why it is refused.

        Args:
            op: of kind `PRODUCT`.
            dimensions: of its inputs, the batch included.
        """
        raise NotImplementedError

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        signals = [
            leaf
            for leaf in self.factors(op)
            if isinstance(leaf, Value) and leaf.name not in constants
        ]
        return Kind.PRODUCT if len(signals) > 1 else Kind.LINEAR

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        equation = self.equation(op, dimensions)
        return equation if isinstance(equation, str) else equation.objection

    def route(self, op: Operation, graph: Graph) -> Route | None:
        if op.kind is Kind.PRODUCT:
            return multiplied_by(op, graph)
        return self.route_of_linear(op, graph)

    def route_of_linear(self, op: Operation, graph: Graph) -> Route | None:
        """The route of a call that reads one signal."""
        return weighted_by(op, graph)

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        if op.kind is not Kind.PRODUCT:
            return None
        equation = self.equation(op, {name: 1 + len(graph.shapes[name]) for name in op.inputs})
        assert isinstance(equation, Equation)
        return equation.scale([scales.get(leaf.name) for leaf in self.factors(op)])


def elementwise(op: Operation, dimensions: Mapping[str, int]) -> Equation | str:
    """The subscripts of a product element by element."""
    left, right = (dimensions[leaf.name] for leaf in op.args[:2])
    if left != right:
        return (
            f"it broadcasts a signal of {min(left, right)} dimensions against the batch of one of "
            f"{max(left, right)}; give both as many dimensions, such as x[:, None]"
        )
    term = LETTERS[:left]
    return Equation((term, term), term)


def matrices(op: Operation, dimensions: Mapping[str, int]) -> Equation | str:
    """The subscripts of a product of matrices."""
    left, right = (dimensions[leaf.name] for leaf in op.args[:2])
    if left < 3 or left != right:
        return (
            f"it multiplies signals of {left} and {right} dimensions, which sums over the batch or "
            "mixes samples; give both as many dimensions, 3 or more, the batch first"
        )
    batch, (row, summed, column) = LETTERS[: left - 2], LETTERS[left - 2 : left + 1]
    return Equation((batch + row + summed, batch + summed + column), batch + row + column)


def subscripts(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The terms of an einsum, and of its result, with letters in place of every ellipsis.

    Args:
        equation: as `torch.einsum` takes it.
        ranks: dimensions of the operands.
    """
    taken, arrow, given = equation.replace(" ", "").partition("->")
    terms = taken.split(",")
    free = [letter for letter in LETTERS if letter not in equation]
    hidden = [rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True)]
    most = max((n for n, term in zip(hidden, terms, strict=True) if "..." in term), default=0)
    shared = free[:most]
    full = [
        term.replace("...", "".join(shared[most - n :])) if "..." in term else term
        for n, term in zip(hidden, terms, strict=True)
    ]
    if not arrow:
        letters = "".join(terms).replace(".", "")
        given = "..." + "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    return full, given.replace("...", "".join(shared))
