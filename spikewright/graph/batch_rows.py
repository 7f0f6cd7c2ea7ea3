"""The batch as rows of a matrix or a letter of einsum, and copies of it, with the batch first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_letters

import torch

from spikewright.graph.ir import BATCH, Kind, Operation, Stored, Value
from spikewright.graph.layouts import BatchMoved, Layout
from spikewright.graph.primitives import EXPAND, RESHAPE, UNSQUEEZE

aten = torch.ops.aten


def of_rows(op: Operation, *read: Layout) -> bool:
    """Whether the batch is the rows of a signal that is multiplied by a stored matrix."""
    multiplied = op.target in (aten.matmul.default, aten.bmm.default) and len(read) == 1
    if not multiplied or not isinstance(op.args[1], Stored):
        return False
    return read[0].dim == len(read[0].sizes) - 2 and not read[0].plain


def multiplied_rows(op: Operation, source: Layout, result: Layout) -> tuple[Operation, ...]:
    """`[N, B * rows, I]` by stored `[N, I, O]`, as `[B, N, rows, I]` by the same."""
    *lead, _, inside = source.sizes
    rows = source.before * source.after
    before, after = (*lead, rows, inside), (*lead, rows, result.sizes[-1])
    joined = replace(
        op,
        name=f"{op.name}_rows",
        target=RESHAPE,
        args=(op.args[0], [BATCH, *before]),
        kwargs={},
        kind=Kind.LINEAR,
        shape=before,
    )
    args = (Value(joined.name), op.args[1])
    made = replace(op, name=f"{op.name}_made", target=aten.matmul.default, args=args, shape=after)
    back = (Value(made.name), [BATCH, *result.sample])
    return joined, replace(made, kind=Kind.LINEAR), replace(op, target=RESHAPE, args=back)


def repeats_batch(op: Operation, source: Layout) -> bool:
    """Whether every sample is repeated, one copy after the other."""
    dim = op.argument(2, "dim")
    return dim is not None and dim % len(source.sizes) == source.dim


def repeated_batch(op: Operation, source: Layout, result: Layout | None) -> tuple[Operation, ...]:
    """Copies of every sample as a dimension of their own.

    Raises:
        BatchMoved: where the batch is merged with others that follow it.
    """
    if op.argument(1, "repeats") == 1:
        return (replace(op, target=aten.alias.default, args=op.args[:1], kwargs={}),)
    if source.after != 1 or result is None or result.after == 1:
        raise BatchMoved("it repeats a batch that is merged with other dimensions")
    place = result.places(result.dim)[-1]
    wide = replace(
        op,
        name=f"{op.name}_apart",
        target=UNSQUEEZE,
        args=(op.args[0], place),
        kwargs={},
        kind=Kind.LINEAR,
        shape=(*source.sample[: place - 1], 1, *source.sample[place - 1 :]),
    )
    args = (Value(wide.name), [BATCH, *result.sample])
    return wide, replace(op, target=EXPAND, args=args, kwargs={})


def contracted(op: Operation, layouts: Mapping[str, Layout]) -> Operation:
    """An einsum whose letter of the batch comes first, with letters for what it is merged with.

    Raises:
        BatchMoved: where the values that it joins have the batch at different letters, or sum it.
    """
    left, _, right = op.args[0].replace(" ", "").partition("->")
    terms = left.split(",")
    read = [
        (t, layouts[v.name]) for t, v in zip(terms, op.args[1], strict=True) if v in _values(op)
    ]
    letters = {term[layout.dim] for term, layout in read if "." not in left}
    merged = {(layout.before, layout.after) for _, layout in read}
    batch = next(iter(letters), "")
    if len(letters) != 1 or len(merged) != 1 or left.count(batch) != len(read):
        raise BatchMoved("the batch has no letter of its own in it, the same in all its signals")
    if right.count(batch) != 1:
        raise BatchMoved("it works across the batch dimension, which mixes samples")
    free = (letter for letter in ascii_letters if letter not in op.args[0])
    more = "".join(next(free) for _ in read[0][1].merged)

    def moved(term: str) -> str:
        return batch + term.replace(batch, more) if batch in term else term

    equation = f"{','.join(map(moved, terms))}->{moved(right)}"
    return replace(op, args=(equation, *op.args[1:]))


def _values(op: Operation) -> list[Value]:
    return [leaf for leaf in op.args[1] if isinstance(leaf, Value)]
