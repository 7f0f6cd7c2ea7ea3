"""The layouts of a program's values, and its calls as a graph has them: with the batch first."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph.batch_bags import BAGS, in_bags
from spikewright.graph.batch_first import carried, one_place, rewritten
from spikewright.graph.batch_rows import of_rows
from spikewright.graph.calls import ALIGNED, SCATTERS
from spikewright.graph.constants import Constants, Following
from spikewright.graph.ir import BATCH, Kind, Operation, Stored, Value, mapped, walk
from spikewright.graph.layouts import BatchMoved, Layout, found
from spikewright.graph.primitives import EXPAND, INDEX
from spikewright.graph.rule import rule_of


class _Unknown:
    """The mark of a number that is no constant, nor the batch size itself.

    Args:
        objection: to operations that read it.
    """

    def __init__(self, objection: str) -> None:
        self.objection = objection


_SIZE = _Unknown(
    "the batch size enters its arithmetic; take it out: an answer must not depend on how many "
    "samples run beside it"
)
_NUMBER = _Unknown(
    "it computes with a number that was taken out of a tensor (.item(), float(x)); keep it a tensor"
)

_MIXES = (
    "it works across the batch dimension, which mixes samples; do it outside the model, and give "
    "what it comes to as an input, one a sample"
)
_FIRST_SAMPLES = (
    "it writes into as many samples as its stored indices have, the first ones of a batch alone; "
    "give every sample its indices: write index.expand(x.size(0), -1)"
)


def sizes_objection(op: Operation) -> str | None:
    """Why a call is refused that the batch size is more to than an entry of a shape, or None."""
    unknown = (leaf for leaf in walk((op.args, op.kwargs)) if isinstance(leaf, _Unknown))
    for leaf in unknown:
        return leaf.objection
    plain = any(value is BATCH for value in (*op.args, *op.kwargs.values()))
    return _SIZE.objection if plain and not rule_of(op).reads_batch_size else None


class Batches:
    """Where the batch stands in the values of a program.

    Args:
        tensors: the stored tensors, by name; those that rewritten calls need are added.
        sizes: that of the batch, of every input; symbols that stand for the same number.

    Attributes:
        layouts: of signals, as the model has them; None where the batch was not found.
        constants: of the program.
    """

    def __init__(self, tensors: dict[str, Tensor], sizes: Sequence[torch.SymInt]) -> None:
        self._tensors = tensors
        self._batch = batch = frozenset(size.node.expr for size in sizes)
        self.layouts: dict[str, Layout | None] = {}
        self.constants = Constants(tensors, batch)

    def calls(self, op: Operation, value: Any, lost: Set[str]) -> tuple[Operation, ...]:
        """A call on values `[B, *S]`, after the operations that bring them there.

        Args:
            op: the call of the model.
            value: what it gives, with symbolic shapes.
            lost: names of values that have lost the batch.

        Raises:
            BatchMoved: where there is no such call.
        """
        if op.target in SCATTERS and isinstance(op.args[2], Stored):
            raise BatchMoved(_FIRST_SAMPLES)
        *before, op = self._in_bags(op) if op.target in BAGS else self._each_by_itself(op)
        self.layouts.update({each.name: Layout((1, *each.shape)) for each in before})
        result = self._layout(op, value)
        self.layouts[op.name] = result or self.layouts.get(op.inputs[0])
        op, repeated = self._with_constants(op, result)
        read = {name: layout for name in op.inputs if (layout := self.layouts.get(name))}
        here = all(layout.plain for layout in read.values())
        known = len(read) == len(op.inputs) and all(name not in lost for name in op.inputs)
        calls = (op,)
        if known and not (here and (result is None or result.plain)):
            try:
                calls = rewritten(op, read, result, rule_of(op).kind, self._tensors)
            except BatchMoved:
                if not here:
                    raise
                self.layouts[op.name] = None  # its rule says why
        return (*before, *repeated, *(self._sized(call) for call in calls))

    def mixing(self, op: Operation, value: Any) -> str | None:
        """Why a constant is refused that is computed of a batch and has none, or None."""
        made = op.inputs and isinstance(value, Tensor)
        return _MIXES if made and found(value.shape, self._batch) is None else None

    def settle(self, op: Operation, value: Tensor) -> None:
        """Find the layout of a value that the graph keeps as the first of several."""
        self.layouts[op.name] = self._layout(op, value)

    def repeated(self, constant: Following, reader: str = "") -> Operation:
        """A constant that follows the size of the batch, as large as the batch.

        Raises:
            BatchMoved: where it has no batch, or one sample's differs from another's.
        """
        stored, layout = self.constants.alone(constant)
        name = f"{reader}_{constant.name}" if reader else constant.name
        self.layouts[name] = layout
        args = (stored, [BATCH, *layout.sample])
        return Operation(name, EXPAND, args, kind=Kind.CONSTANT, shape=layout.sample)

    def _each_by_itself(self, op: Operation) -> tuple[Operation, ...]:
        """`x[arange(B), places]` chooses places of every sample, each by itself.

        Stored places are the same for all samples, `x[:, places]`; one place a sample is gathered.
        """
        if op.target is not INDEX or not isinstance(op.args[1][0], Following):
            return (op,)
        first, *others = op.args[1]
        ndim, plain = self.constants.counts_samples(first), self.layouts.get(op.args[0].name)
        if ndim is None or plain is None or not plain.plain:
            return (op,)
        place = self.layouts.get(others[0].name) if isinstance(others[0], Value) else None
        if len(others) == 1 and place is not None and place.sizes == (1,):
            return one_place(op, plain.sample)
        if not all(isinstance(index, Stored) for index in others):
            return (op,)
        places: list[Any] = [None]
        for number, index in enumerate(others):
            tensor = self._tensors[index.name]
            lead = tensor.reshape(*[1] * (ndim - tensor.ndim), *tensor.shape)
            if len(lead) != 1:
                return (op,)
            places.append(self.constants.keep(f"{op.name}.places{number}", lead[0]))
        return (replace(op, args=(op.args[0], places)),)

    def _in_bags(self, op: Operation) -> tuple[Operation, ...]:
        """Rows of a table in bags of one size, which offsets that follow the batch tell."""
        ids, offsets = op.args[1:3]
        members = self.constants.step(offsets) if isinstance(offsets, Following) else None
        layout = self.layouts.get(ids.name) if isinstance(ids, Value) else None
        return in_bags(op, members, layout, self._tensors)

    def _layout(self, op: Operation, value: Any) -> Layout | None:
        """The layout of a call's value; None where it gives several, or has lost the batch."""
        if not isinstance(value, Tensor):
            return None
        read = [layout for name in op.inputs if (layout := self.layouts.get(name)) is not None]
        return carried(op, value.shape, read, self._batch)

    def _with_constants(
        self, op: Operation, result: Layout | None
    ) -> tuple[Operation, list[Operation]]:
        """The call with constants as `[1, *S]` where they are broadcast, else as large as a batch.

        Where the model's own layout is that of the graph, stored constants stay as they are.
        """
        made: list[Operation] = []
        aligned = op.target in ALIGNED
        read = [layout for name in op.inputs if (layout := self.layouts.get(name))]
        moved = result if aligned and result is not None and not result.plain else None

        def settled(leaf: Any) -> Any:
            name = f"{op.name}.{getattr(leaf, 'name', '')}"
            if isinstance(leaf, Stored) and moved is not None and of_rows(op, *read):
                return leaf
            if isinstance(leaf, Stored) and moved is not None:
                tensor = self._tensors[leaf.name]
                if tensor.ndim < 2 and moved.dim < len(moved.sizes) - max(1, tensor.ndim):
                    return leaf
                return self.constants.keep(name, moved.canonical(tensor, 1))
            if not isinstance(leaf, Following):
                return leaf
            if not aligned and rule_of(op).kind is not Kind.UNIT:
                repeated = self.repeated(leaf, op.name)
                if all(other.name != repeated.name for other in made):
                    made.append(repeated)
                return Value(repeated.name)
            if result is None:
                raise BatchMoved("it reads a constant that has lost the batch")
            return self.constants.sample(leaf, result, name)

        call = replace(op, args=mapped(op.args, settled), kwargs=mapped(op.kwargs, settled))
        return call, made

    def _sized(self, call: Operation) -> Operation:
        """The call with the size of the batch as `BATCH`, others that follow it as unknown."""

        def known(leaf: Any) -> Any:
            if not isinstance(leaf, (torch.SymInt, torch.SymFloat, torch.SymBool)):
                return leaf
            size: Any = leaf.node.expr
            if isinstance(leaf, torch.SymInt) and size in self._batch:
                return BATCH
            return _NUMBER if self._batch.isdisjoint(size.free_symbols) else _SIZE

        return replace(call, args=mapped(call.args, known), kwargs=mapped(call.kwargs, known))
