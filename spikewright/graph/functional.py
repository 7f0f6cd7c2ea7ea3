"""Programs that torch.export made, in functional form: no call writes into a tensor.

`run_decompositions({})` gives any program that form, and traces it again to do so, which takes
longer than torch.export. Most programs have the form but for views, batch norm, dropout, chunks and
moves to a dtype, and calls of that form replace those here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import statically_known_true

from spikewright.graph.batch_norm import BATCH_NORM
from spikewright.graph.primitives import CONVERSION, RESHAPE
from spikewright.graph.rule import registered

aten = torch.ops.aten


def functional(program: ExportedProgram) -> ExportedProgram:
    """A program in functional form, which computes the same.

    Args:
        program: of `torch.export.export` and nobody else's, as it may be changed.
    """
    calls = [node for node in program.graph.nodes if node.op not in ("placeholder", "output")]
    rules = registered().keys()
    if not all(node.target in rules or _has_form(node) for node in calls):
        return program.run_decompositions({})
    for node in calls:
        if node.target in _REPLACED:
            with node.graph.inserting_before(node):
                _REPLACED[node.target](node)
        elif outside := _out_of_place(node):
            node.target = outside
    return program


def _has_form(node: fx.Node) -> bool:
    """Whether a call without a rule is functional, or can be replaced by one that is."""
    if node.target in _VIEWS:
        return None not in _sizes(node)
    if node.target is aten.batch_norm.default:
        _, _, _, mean, _, training, *_ = node.args
        return mean is not None and not training
    if node.target is aten.dropout.default:
        return not node.args[2]
    if node.target is aten.chunk.default:
        return isinstance(_cut_size(node), int)
    if node.target is aten.to.dtype:
        return len(node.args) == 2 and not node.kwargs
    if not isinstance(node.target, OpOverload):  # of numbers, or one value of several
        return getattr(node.target, "__module__", "") == operator.add.__module__
    if _out_of_place(node):
        return _alone(node.args[0]) and not _widened(node)
    schema: Any = getattr(node.target, "_schema")  # noqa: B009 (torch has no public name for it)
    shares = schema.is_mutable or any(given.alias_info for given in schema.arguments)
    return not shares and torch.Tag.maybe_aliasing_or_mutating not in node.target.tags


def _out_of_place(node: fx.Node) -> Any:
    """The call with a rule that computes what one in place writes, such as `relu` for `relu_`."""
    name, _, overload = str(node.target).removeprefix("aten.").partition(".")
    packet = getattr(aten, name.removesuffix("_"), None) if name.endswith("_") else None
    outside = getattr(packet, overload, None)
    return outside if outside in registered() else None


def _widened(node: fx.Node) -> bool:
    """Whether the call outside would give another dtype, where the one in place keeps its own."""
    kept = node.meta["val"].dtype
    read = (source.meta.get("val") for source in node.all_input_nodes)
    wide = (value.dtype for value in read if isinstance(value, Tensor) and value.ndim)
    return any(torch.promote_types(dtype, kept) is not kept for dtype in wide)


def _alone(source: Any) -> bool:
    """Whether a value is a new tensor that a single call reads."""
    if source.op != "call_function" or len(source.users) > 1:
        return False
    rule = registered().get(source.target)
    weighted = rule is not None and rule.weight_at is not None
    return (
        weighted
        or source.target in (aten.batch_norm.default, aten.add.Tensor)
        or bool(_out_of_place(source))
    )


def _sizes(view: fx.Node) -> list[int | tuple[int] | None]:
    """The sizes of a view: a number, or the dimension of its source that is as large, or None."""
    source: Any = view.args[0]
    before = source.meta["val"].shape

    def size(number: int | torch.SymInt) -> int | tuple[int] | None:
        if isinstance(number, int):
            return number
        same = (dim for dim, n in enumerate(before) if statically_known_true(n == number))
        return next(((dim,) for dim in same), None)

    return [size(number) for number in view.meta["val"].shape]


def _reshape(view: fx.Node) -> None:
    source: Any = view.args[0]
    shape: list[Any] = []
    for size in _sizes(view):
        if isinstance(size, tuple):
            number = source.meta["val"].shape[size[0]]
            size = view.graph.call_function(aten.sym_size.int, (source, *size))
            size.meta = {**view.meta, "val": number}
        shape.append(size)
    view.target, view.args, view.kwargs = RESHAPE, (source, shape), {}


def _normalise(norm: fx.Node) -> None:
    """Batch norm with running statistics, the first value of a call that gives three."""
    x, weight, bias, mean, variance, _, momentum, eps, _ = norm.args
    made = norm.graph.call_function(BATCH_NORM, (x, weight, bias, mean, variance, momentum, eps))
    value = norm.meta["val"]
    made.meta = {**norm.meta, "val": (value, value.new_empty(0), value.new_empty(0))}
    norm.target, norm.args = operator.getitem, (made, 0)


def _leave_out(call: fx.Node) -> None:
    source: Any = call.args[0]
    call.replace_all_uses_with(source)


def _cut_size(chunk: fx.Node) -> int | torch.SymInt:
    """The size of the pieces of a dimension, but of the last, which may be smaller."""
    piece: Any = chunk.meta["val"][0]
    dim: Any = chunk.args[2] if len(chunk.args) > 2 else chunk.kwargs.get("dim", 0)
    return piece.shape[dim]


def _split(chunk: fx.Node) -> None:
    source, _, *dim = chunk.args
    chunk.target, chunk.args = aten.split.Tensor, (source, _cut_size(chunk), *dim)


def _convert(to: fx.Node) -> None:
    """The value in another dtype, or the value itself where it has that dtype."""
    source: Any = to.args[0]
    dtype = to.args[1]
    if source.meta["val"].dtype is dtype:
        _leave_out(to)
    else:
        to.target, to.args, to.kwargs = CONVERSION, (source,), {"dtype": dtype}


_VIEWS = (aten.flatten.using_ints, aten.unflatten.int)
_REPLACED: dict[Any, Callable[[fx.Node], None]] = {
    **dict.fromkeys(_VIEWS, _reshape),
    aten.batch_norm.default: _normalise,
    aten.dropout.default: _leave_out,
    aten.chunk.default: _split,
    aten.to.dtype: _convert,
}
