"""Complex numbers as pairs of real ones.

A spike train is real. So what a program computes of complex signals is written out, before it is
read, for their real and imaginary parts. What has no such form stays as it is, and is refused where
it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram, default_decompositions

from spikewright.graph.calls import PERMUTATIONS, VIEWS
from spikewright.graph.fourier import TRANSFORMS, Pair
from spikewright.graph.ir import mapped, walk
from spikewright.graph.writing import Writing

aten = torch.ops.aten


def in_pairs(program: ExportedProgram) -> ExportedProgram:
    """The same program with complex signals as pairs of real ones, as far as they have that form.

    Args:
        program: functional.
    """
    if not any(_is_complex(node) for node in program.graph.nodes):
        return program
    return _Writing(_in_short_steps(program)).written()


def _in_short_steps(program: ExportedProgram) -> ExportedProgram:
    """The program with its complex calls in steps that are known here, such as those of `stft`.

    Steps may leave a value in another order in memory, so views become reshapes.
    """
    theirs = default_decompositions()
    program = program.run_decompositions({})  # a copy
    for node in program.graph.nodes:
        if node.target is aten.view.default:
            node.target = aten.reshape.default
    for _ in range(_ROUNDS):
        calls = [n for n in program.graph.nodes if any(map(_is_complex, (n, *n.all_input_nodes)))]
        table = {n.target: theirs[n.target] for n in calls if n.target in theirs.keys() - _KNOWN}
        if not table:
            break
        program = program.run_decompositions(table)
    return program


def _is_complex(node: Any) -> bool:
    if isinstance(node, complex):
        return True
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return any(isinstance(leaf, Tensor) and leaf.is_complex() for leaf in walk(value))


class _Writing(Writing):
    """One pass over a program of complex values."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__(program)
        self._pairs: dict[fx.Node, Pair] = {}
        self._magnitudes: dict[fx.Node, Pair] = {}  # of pairs whose squares are at hand
        self.reals: dict[fx.Node, fx.Node] = {}  # what complex values are that are real

    def written(self) -> ExportedProgram:
        for node in self.calls():
            known = any(read in self._pairs for read in node.all_input_nodes)
            squared = node.target in _SQUARES and node.args[0] in self._magnitudes
            if known or squared or _is_complex(node) or node.target is aten._neg_view.default:
                self._write_out(node)
        return self.finished()

    def _write_out(self, node: Any) -> None:
        """Write what stands for a call: its two parts, or its real value."""
        made = self._made(node)
        if made is None:
            return
        if isinstance(made, tuple):
            self._pairs[node] = made
            return
        self.instead(node, made)
        if node.target is aten.abs.default:
            self._magnitudes[made] = self._pairs[node.args[0]]

    def _made(self, node: Any) -> Pair | fx.Node | None:
        target, args, options = node.target, node.args, node.kwargs
        squares = target in _SQUARES and (target is aten.square.default or args[1] == 2)
        if target in _SQUARES and args[0] in self._magnitudes:
            return self._squared(*self._magnitudes[args[0]]) if squares else None
        if target is aten._to_copy.default and not _is_complex(args[0]):
            self.reals[node] = args[0]
            return None
        if target is aten._neg_view.default and not _is_complex(args[0]):
            return self.call(aten.neg.default, args[0])
        transform = _TRANSFORMS.get(target)
        if transform is not None:
            return transform(self, *args, **options)
        read = {leaf for leaf in walk((args, options)) if _is_complex(leaf)}
        parts = {leaf: part for leaf in read if (part := self.parts(leaf)) is not None}
        if len(parts) != len(read):
            return None
        if target in _BILINEAR or (target in _QUOTIENTS and not _is_complex(args[1])):
            return self._multiplied(node, parts)
        if squares:
            return self._product_with_itself(*parts[args[0]])
        if target in _WEIGHTED:
            return self._weighted(node, parts)
        if target in _BY_PART:
            return self._each_part(node, parts)
        of_parts = _OF_PARTS.get(target)
        return None if of_parts is None else of_parts(self, *parts[args[0]])

    def parts(self, node: Any) -> Any:
        """Both parts of a complex value: a signal's as written, a constant's taken from it."""
        if isinstance(node, complex):
            return node.real, node.imag
        if node in self.reals and node not in self._pairs:
            real = self.reals[node]
            self._pairs[node] = real, self.call(aten.zeros_like.default, real)
        if node not in self._pairs and node not in self.signals:
            real = self.call(aten.view_as_real.default, node)
            self._pairs[node] = self._halves(real)
        return self._pairs.get(node)

    def _halves(self, both: fx.Node) -> Pair:
        last = both.meta["val"].ndim - 1
        first, second = (self.call(aten.select.int, both, last, part) for part in (0, 1))
        return first, second

    def _each_part(self, node: Any, parts: Mapping[Any, Pair]) -> Pair | None:
        """A call that does the same to both parts; what is real has no imaginary part."""
        if node.target in _SUMS and not all(_is_complex(leaf) for leaf in node.args[:2]):
            return self._with_real(node, parts)
        made = [
            self.call(
                node.target,
                *mapped(node.args, lambda x, at=at: parts[x][at] if _is_complex(x) else x),
                **node.kwargs,
            )
            for at in (0, 1)
        ]
        return made[0], made[1]

    def _with_real(self, node: Any, parts: Mapping[Any, Pair]) -> Pair | None:
        """The sum or difference of a complex and a real value."""
        if node.kwargs:
            return None
        first, second = node.args[:2]
        if first in parts:
            a, b = parts[first]
            return self.call(node.target, a, second), b
        a, b = parts[second]
        less = node.target is aten.sub.Tensor
        return self.call(node.target, first, a), self.call(aten.neg.default, b) if less else b

    def _multiplied(self, node: Any, parts: Mapping[Any, Pair]) -> Pair | None:
        """`(a + ib)(c + id) = ac - bd + i(ad + bc)`, whatever the product of two factors is."""
        einsum = node.target is aten.einsum.default
        factors: Sequence[Any] = node.args[1] if einsum else node.args[:2]
        if len(factors) != 2:
            return None

        def product(x: Any, y: Any) -> fx.Node:
            given = (node.args[0], [x, y]) if einsum else (x, y)
            return self.call(node.target, *given)

        first, second = factors
        if second not in parts:
            a, b = parts[first]
            return product(a, second), product(b, second)
        c, d = parts[second]
        if first not in parts:
            return product(first, c), product(first, d)
        a, b = parts[first]
        real = self.call(aten.sub.Tensor, product(a, c), product(b, d))
        return real, self.call(aten.add.Tensor, product(a, d), product(b, c))

    def _weighted(self, node: Any, parts: Mapping[Any, Pair]) -> Pair:
        """`(a + ib)(c + id) + e + if` with weights c + id and bias e + if, where there is one."""
        signal, weight, bias, *rest = (*node.args, None)[: max(3, len(node.args))]
        (c, d), (e, f) = parts[weight], parts.get(bias, (None, None))

        def product(x: fx.Node, w: fx.Node, b: fx.Node | None = None) -> fx.Node:
            return self.call(node.target, x, w, b, *rest, **node.kwargs)

        a, b = parts[signal]
        real = self.call(aten.sub.Tensor, product(a, c, e), product(b, d))
        return real, self.call(aten.add.Tensor, product(a, d, f), product(b, c))

    def _product_with_itself(self, real: fx.Node, imaginary: fx.Node) -> Pair:
        """`(a + ib)(a + ib) = aa - bb + i 2ab`."""
        squares = (self.call(aten.square.default, part) for part in (real, imaginary))
        twice = self.call(aten.mul.Tensor, real, self.call(aten.mul.Tensor, imaginary, 2))
        return self.call(aten.sub.Tensor, *squares), twice

    def _squared(self, real: fx.Node, imaginary: fx.Node) -> fx.Node:
        squares = (self.call(aten.square.default, part) for part in (real, imaginary))
        return self.call(aten.add.Tensor, *squares)

    def magnitude(self, real: fx.Node, imaginary: fx.Node) -> fx.Node:
        return self.call(aten.sqrt.default, self._squared(real, imaginary))

    def side_by_side(self, real: fx.Node, imaginary: fx.Node) -> fx.Node:
        return self.call(aten.stack.default, [real, imaginary], real.meta["val"].ndim)

    def conjugate(self, real: fx.Node, imaginary: fx.Node) -> Pair:
        return real, self.call(aten.neg.default, imaginary)

    def taken_apart(self, both: fx.Node) -> Pair:
        return self._halves(both)

    def together(self, real: fx.Node, imaginary: fx.Node) -> Pair:
        return real, imaginary

    def polar(self, size: fx.Node, angle: fx.Node) -> Pair:
        turns = (self.call(f, angle) for f in (aten.cos.default, aten.sin.default))
        real, imaginary = (self.call(aten.mul.Tensor, size, turn) for turn in turns)
        return real, imaginary


_SQUARES = (aten.pow.Tensor_Scalar, aten.square.default)
_SUMS = (aten.add.Tensor, aten.sub.Tensor)
_QUOTIENTS = (aten.div.Tensor, aten.div.Scalar)
_BILINEAR = (
    aten.mul.Tensor,
    aten.mul.Scalar,
    aten.matmul.default,
    aten.mm.default,
    aten.bmm.default,
    aten.einsum.default,
)
_WEIGHTED = (
    aten.linear.default,
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv3d.default,
)
_BY_PART = {
    *VIEWS,
    *PERMUTATIONS,
    *_SUMS,
    aten.neg.default,
    aten.sum.dim_IntList,
    aten.mean.dim,
    aten.select.int,
    aten.slice.Tensor,
    aten.index.Tensor,
    aten.index_select.default,
    aten.expand.default,
    aten.repeat.default,
    aten.flip.default,
    aten.roll.default,
    aten.cat.default,
    aten.stack.default,
    aten.constant_pad_nd.default,
}
"""Calls that do the same to the real and to the imaginary part."""
_OF_PARTS: dict[Any, Callable[..., Pair | fx.Node]] = {
    aten.abs.default: _Writing.magnitude,
    aten.view_as_real.default: _Writing.side_by_side,
    aten._conj.default: _Writing.conjugate,
    aten.conj_physical.default: _Writing.conjugate,
    aten.real.default: lambda _, real, imaginary: real,
    aten.imag.default: lambda _, real, imaginary: imaginary,
    aten.angle.default: lambda page, real, imaginary: page.call(
        aten.atan2.default, imaginary, real
    ),
}
"""What is made of both parts."""
_TRANSFORMS: dict[Any, Callable[..., Pair | fx.Node | None]] = {
    **TRANSFORMS,
    aten.view_as_complex.default: _Writing.taken_apart,
    aten.complex.default: _Writing.together,
    aten.polar.default: _Writing.polar,
}
"""Calls that make complex values of real ones, or transform them."""
_KNOWN = {
    *(*_SQUARES, *_QUOTIENTS, *_BILINEAR, *_WEIGHTED),
    *(*_BY_PART, *_OF_PARTS, *_TRANSFORMS),
}
_ROUNDS = 4
"""Decompositions of what decompositions give, at most."""
