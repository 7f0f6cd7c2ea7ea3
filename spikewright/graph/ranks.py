"""The largest of a signal's values chosen by marks: spikes at their places, one in every row.

`torch.topk` gives values and their places, and places are no numbers that spikes carry. What models
do with them is linear in marks `m[j, n]`, 1 where value n is the j-th largest and 0 elsewhere:

    values[j] = sum_n m[j, n] x[n]
    gather(y, places)[j] = sum_n m[j, n] y[n]        (of numbers, or of rows of features)
    scatter(z, places, y)[n] = (1 - sum_j m[j, n]) z[n] + sum_j m[j, n] y[j]

A softmax of values at their places and of -inf elsewhere is the softmax of these values, at their
places, and 0 elsewhere. Marks are a unit of all values of a row. Where places are used in another
way, the call stays.
"""

from __future__ import annotations

import operator
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from spikewright.graph.masks import masked
from spikewright.graph.writing import Writing

aten = torch.ops.aten

_LIBRARY = torch.library.Library("spikewright", "FRAGMENT")
_LIBRARY.define("marks(Tensor x, bool largest, bool ordered) -> Tensor")


def _marks(x: Tensor, largest: bool, ordered: bool) -> Tensor:
    """1 at the place of the j-th largest (or smallest) value in row j, 0 elsewhere.

    Args:
        x: `[..., k, N]`, k copies of each row of N values.
        largest, ordered: as `torch.topk` has them, whose order of equal values is kept.
    """
    places = x[..., 0, :].topk(x.shape[-2], -1, largest, ordered).indices
    return torch.zeros_like(x).scatter(-1, places[..., None], 1.0)


_LIBRARY.impl("marks", _marks, "CompositeImplicitAutograd")
MARKS = torch.ops.spikewright.marks.default
"""The places of the largest values of a row, as a matrix of zeros and ones."""
_EMPTY = (aten.zeros_like.default, aten.zeros.default, aten.new_zeros.default)
_REPEATED = (aten.expand.default, aten.repeat.default)
_PLACED = (aten.scatter.src, aten.scatter.value)
_FILLED = {
    aten.full_like.default: 1,
    aten.full.default: 1,
    aten.fill.Scalar: 1,
    aten.new_full.default: 2,
}
"""Calls that fill a tensor with one number, which stands at this place of their arguments."""
_SOFTMAX = (aten.softmax.int, aten._softmax.default)


def with_marks(program: ExportedProgram) -> ExportedProgram:
    """The same program, with marks in place of the places that `topk` gives.

    Args:
        program: functional.
    """
    if not any(_replaceable(node) for node in program.graph.nodes):
        return program
    return _Marking(program).written()


def _replaceable(node: fx.Node) -> bool:
    """Whether a node is a `topk` whose places are used as marks can be."""
    if node.target is not aten.topk.default or not node.meta["val"][0].is_floating_point():
        return False
    dim = _dimension(node)
    taken = [user for user in node.users if user.target is operator.getitem]
    users = [reader for part in taken if part.args[1] == 1 for reader in part.users]
    known = (_follows_marks(reader, node, dim) or _rows(reader, node, dim) for reader in users)
    return dim > 0 and all(known)


def _follows_marks(reader: Any, chosen: fx.Node, dim: int) -> bool:
    if reader.target not in (*_PLACED, aten.gather.default):
        return False
    source: Any = chosen.args[0]
    along, index = reader.args[1:3]
    shape: torch.Size = reader.args[0].meta["val"].shape
    here = isinstance(index, fx.Node) and index.args[0] is chosen
    along %= len(shape)
    if not here or along != dim or shape != source.meta["val"].shape:
        return False
    return not _fills_with_masks(reader) or all(_is_softmax(user, dim) for user in reader.users)


def _fills_with_masks(reader: Any) -> bool:
    """Whether a call scatters into a tensor of nothing but -inf, or what stands for it."""
    target: Any = reader.args[0]
    if reader.target not in _PLACED or target.target not in _FILLED:
        return False
    number = target.args[_FILLED[target.target]]
    if not isinstance(number, int | float) or number >= 0:
        return False
    return bool(masked(torch.tensor(number, dtype=torch.float64), target.meta["val"].dtype))


def _is_softmax(user: Any, dim: int) -> bool:
    """Whether a call is the softmax of a value along a dimension."""
    return user.target in _SOFTMAX and user.args[1] % user.meta["val"].ndim == dim


def _rows(reader: fx.Node, chosen: fx.Node, dim: int) -> list[fx.Node]:
    """The calls that gather whole rows at places, `y.gather(1, places[..., None].expand(...))`."""
    source: Any = chosen.args[0]
    shape = source.meta["val"].shape
    wide = [user for user in reader.users if user.target in _REPEATED]
    found: list[Any] = [user for each in wide for user in each.users]
    lone = reader.target is aten.unsqueeze.default and reader.args[1] in (-1, len(shape))
    whole = lone and dim == len(shape) - 1 and len(wide) == len(reader.users)
    fits = all(
        user.target is aten.gather.default
        and user.args[2] in wide
        and user.args[1] % (dim + 2) == dim
        and user.args[0].meta["val"].shape[:-1] == shape
        for user in found
    )
    return found if whole and fits else []


def _dimension(node: Any) -> int:
    given: Any = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", -1)
    source: Any = node.args[0]
    return given % source.meta["val"].ndim


class _Marking(Writing):
    """One pass over a program."""

    def written(self) -> ExportedProgram:
        marked: dict[fx.Node, tuple[fx.Node, int]] = {}  # by the node of places
        rows: dict[fx.Node, fx.Node] = {}  # marks, by the calls that gather rows
        apart: dict[fx.Node, fx.Node] = {}  # places, by the values that stand there beside -inf
        for node in self.calls():
            if _replaceable(node):
                self._mark(node, marked, rows)
            elif node in rows:
                self.instead(node, self.call(aten.matmul.default, rows[node], node.args[0]))
            elif node.target in _SOFTMAX and node.args[0] in apart:
                scattered: Any = node.args[0]
                self.instead(node, self._softmax(node, *marked[apart[scattered]]))
            elif len(node.args) > 2 and node.args[2] in marked:
                if _fills_with_masks(node):
                    apart[node] = node.args[2]
                else:
                    self.instead(node, self._reading(node, *marked[node.args[2]]))
        return self.finished()

    def _mark(
        self,
        node: Any,
        marked: dict[fx.Node, tuple[fx.Node, int]],
        rows: dict[fx.Node, fx.Node],
    ) -> None:
        source: Any = node.args[0]
        dim = _dimension(node)
        largest, ordered = (node.args[at] if len(node.args) > at else True for at in (3, 4))
        line = self._beside(self._last(source, dim), -2)
        shape = list(line.meta["val"].shape)
        wide = self.call(aten.expand.default, line, [*[-1] * (len(shape) - 2), node.args[1], -1])
        marks = self.call(MARKS, wide, largest, ordered)
        values = self._summed(marks, wide, -1, dim)
        parts: list[Any] = list(node.users)
        for part in parts:
            if part.args[1] == 0:
                self.instead(part, values)
            else:
                marked[part] = marks, dim
                for reader in part.users:
                    rows.update((user, marks) for user in _rows(reader, node, dim))

    def _reading(self, node: fx.Node, marks: fx.Node, dim: int) -> fx.Node:
        """What stands for a call that reads places."""
        target: Any = node.args[0]
        if node.target is aten.gather.default:
            return self._summed(marks, self._beside(self._last(target, dim), -2), -1, dim)
        placed = self._placed(self._given(node), marks, dim)
        if target.target in _EMPTY:
            return placed
        taken = self._back(self.call(aten.sum.dim_IntList, marks, [-2]), dim)
        kept = self.call(aten.sub.Tensor, target, self.call(aten.mul.Tensor, target, taken))
        return self.call(aten.add.Tensor, kept, placed)

    def _softmax(self, node: fx.Node, marks: fx.Node, dim: int) -> fx.Node:
        """What stands for a softmax of values at places and of -inf elsewhere."""
        target, scattered = cast("Any", node.target), cast("Any", node.args[0])
        given = self._given(scattered)
        if isinstance(given, fx.Node):
            given = self.call(target, given, *node.args[1:], **node.kwargs)
        else:
            given = 1 / marks.meta["val"].shape[-2]
        return self._placed(given, marks, dim)

    def _placed(self, given: Any, marks: fx.Node, dim: int) -> fx.Node:
        """Values, or one number, at the places that marks tell, and 0 elsewhere."""
        if isinstance(given, fx.Node):
            return self._summed(marks, self._beside(self._last(given, dim), -1), -2, dim)
        taken = self.call(aten.sum.dim_IntList, marks, [-2])
        return self._back(self.call(aten.mul.Tensor, taken, given), dim)

    def _given(self, scattered: fx.Node) -> Any:
        """What is scattered: one number, or as many values as there are places to read them."""
        given: Any = scattered.args[3]
        if not isinstance(given, fx.Node):
            return given
        places: Any = scattered.args[2]
        sizes = zip(given.meta["val"].shape, places.meta["val"].shape, strict=True)
        for dim, (size, read) in enumerate(sizes):
            if isinstance(size, int) and isinstance(read, int) and size > read:
                given = self.call(aten.slice.Tensor, given, dim, 0, read)
        return given

    def _summed(self, marks: fx.Node, values: fx.Node, over: int, dim: int) -> fx.Node:
        product = self.call(aten.mul.Tensor, marks, values)
        return self._back(self.call(aten.sum.dim_IntList, product, [over]), dim)

    def _beside(self, values: fx.Node, dim: int) -> fx.Node:
        ndim = values.meta["val"].ndim + 1
        return self.call(aten.unsqueeze.default, values, dim % ndim)

    def _last(self, x: fx.Node, dim: int) -> fx.Node:
        last = x.meta["val"].ndim - 1
        return x if dim == last else self.call(aten.transpose.int, x, dim, last)

    def _back(self, x: fx.Node, dim: int) -> fx.Node:
        return self._last(x, dim)
