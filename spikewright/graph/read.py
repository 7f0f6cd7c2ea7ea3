"""Reading an exported program: every node becomes an operation, a constant, or an offender."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from spikewright.errors import ConversionError
from spikewright.graph.batch_norm import BATCH_NORM
from spikewright.graph.batches import Batches, sizes_objection
from spikewright.graph.calls import reads_no_numbers
from spikewright.graph.choices import Choices, draws_numbers
from spikewright.graph.constants import Following
from spikewright.graph.inputs import Call, Input
from spikewright.graph.ir import BATCH, Graph, Kind, Operation, Stored, Value, walk
from spikewright.graph.layouts import BatchMoved, Layout
from spikewright.graph.offenders import Offender, offender, remedy_of
from spikewright.graph.origins import ancestors, is_leaf, operation_of
from spikewright.graph.primitives import CONVERSION, EXPAND
from spikewright.graph.programs import answer_of, dtype_of, placeholders, require_pure
from spikewright.graph.relays import with_a_channel
from spikewright.graph.rule import Reading, kind_of, objection_to, rule_of
from spikewright.graph.structure import Port, Structure
from spikewright.graph.widened import with_dtypes

_APART = "keep the batch a dimension of its own here, the first one"
_WIDE = (torch.float32, torch.float64)
"""The dtypes between which values stay in that of the input."""


def read_program(
    program: ExportedProgram,
    model: nn.Module | ExportedProgram,
    call: Call,
    constants: Mapping[str, Tensor],
) -> tuple[Graph, tuple[Offender, ...]]:
    """Turn an exported, functional program into a graph.

    Args:
        program: after `run_decompositions({})`, of the batches in a call, in their order.
        model: what was exported, to name its modules.
        call: how it is called.
        constants: the tensors in its arguments that are no batches, by name.

    Returns:
        The graph and the operations that do not convert; with any, the graph cannot run.

    Raises:
        ConversionError: for programs that change their own buffers, or whose answer does not depend
            on the input.
    """
    return _Reader(program, model, call, constants).read()


class _Reader:
    """Turns an exported program into operations; one use."""

    def __init__(
        self,
        program: ExportedProgram,
        model: nn.Module | ExportedProgram,
        call: Call,
        constants: Mapping[str, Tensor],
    ) -> None:
        self._program = program
        self._model = model
        self._call = call
        self._tensors = {name: tensor.detach().clone() for name, tensor in constants.items()}
        self._constants: set[str] = set()  # values that no signal reaches
        self._references: dict[fx.Node, Any] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._operations: list[Operation] = []
        self._makers: dict[str, Operation] = {}  # the same by name, before they get a channel
        self._offenders: list[Offender] = []
        self._as_written: dict[str, str] = {}  # operators by the names of values, for refusals
        self._site_calls: dict[str, int] = {}
        self._single: set[fx.Node] = set()  # calls of whose several values the first is kept
        self._without_batch: set[str] = set()  # values in which the batch was not found
        self._choices = Choices()
        self._converts = False  # whether values in several floating dtypes were given one

    def read(self) -> tuple[Graph, tuple[Offender, ...]]:
        require_pure(self._program)
        inputs = self._read_placeholders()
        answer = answer_of(self._program)
        needed = ancestors(leaf for leaf in answer.leaves if isinstance(leaf, fx.Node))
        for node in self._program.graph.nodes:
            if node.op == "call_function" and node in needed and node not in self._references:
                self._read_call(node)
        if self._converts:
            self._give_one_dtype(dtype_of(self._program))
        outputs, structure = self._outputs(answer)
        if not outputs and not self._offenders:
            raise ConversionError("the model's output does not depend on its input")
        operations = tuple(self._operations)
        graph = Graph(operations, self._tensors, inputs, outputs, structure, self._call)
        if self._converts:
            graph = with_dtypes(graph, dict.fromkeys(_WIDE, dtype_of(self._program)))
        return graph if self._offenders else graph.pruned(), tuple(self._offenders)

    def _give_one_dtype(self, dtype: torch.dtype) -> None:
        """Bring stored numbers into the dtype of the input, which all values have then."""
        for name, tensor in self._tensors.items():
            if tensor.is_floating_point():
                self._tensors[name] = tensor.to(dtype)

    def _outputs(self, answer: Structure) -> tuple[tuple[str, ...], Structure]:
        """The names of the values in the answer, and how it is put together from them."""
        outputs: dict[str, int] = {}

        def mark(leaf: Any) -> Any:
            known = self._references.get(leaf) if isinstance(leaf, fx.Node) else leaf
            if isinstance(known, (torch.SymInt, torch.SymFloat, torch.SymBool)):
                raise ConversionError(
                    "the model returns a number that it computes from the size of the batch: leave "
                    "it out of the answer"
                )
            if isinstance(known, Following):
                try:
                    repeated = self._batches.repeated(known)
                except BatchMoved as error:
                    raise ConversionError(f"the model's answer is refused: {error}") from error
                self._add(repeated)
                known = Value(repeated.name)
            if not isinstance(known, Value):
                return known
            dim = self._batch_dimension(known)
            return Port(outputs.setdefault(known.name, len(outputs)), dim)

        leaves = tuple(mark(leaf) for leaf in answer.leaves)
        return tuple(outputs), Structure(leaves, answer.spec)

    def _batch_dimension(self, output: Value) -> int:
        """Where the batch stands in an output; one that is merged with others is refused."""
        layout = self._batches.layouts.get(output.name)
        if layout is None:
            return 0
        if layout.merged and not self._offenders:
            self._refuse(
                self._makers[output.name],
                "in the model's answer the batch is merged with other dimensions; return "
                "x.unflatten(0, (-1, n)) with the batch as a dimension of its own",
            )
        return layout.dim

    def _read_placeholders(self) -> tuple[Input, ...]:
        """Store parameters, buffers and constants; return the inputs."""
        inputs, stored = placeholders(self._program)
        for node, (name, tensor) in stored.items():
            self._tensors[name] = tensor
            self._references[node] = Stored(name)
        self._batches = Batches(self._tensors, [node.meta["val"].shape[0] for node in inputs])
        return tuple(self._input(node) for node in inputs)

    def _input(self, node: fx.Node) -> Input:
        value = node.meta["val"]
        shape, signal = tuple(value.shape[1:]), value.is_floating_point()
        self._references[node] = Value(node.name)
        self._shapes[node.name] = shape
        self._batches.layouts[node.name] = Layout((1, *shape))
        if not signal:
            self._constants.add(node.name)
        return Input(node.name, shape, None if signal else value.dtype)

    def _read_call(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if value is None or not any(isinstance(leaf, Tensor) for leaf in walk(value)):
            self._references[node] = value  # a number
            return
        if self._reads_first(node):
            return
        op = operation_of(node, self._references)
        if draws_numbers(op):
            self._refuse_choice(op, value, "it draws random numbers")
        if draws_numbers(op) or self._choices.followed(op, value):
            self._references[node] = Value(node.name)
            self._lose_batch(op)
            return
        if reads_no_numbers(op):
            self._read_constant(node, op)
            return
        self._references[node] = Value(node.name)
        self._as_written[op.name] = op.operator
        try:
            calls = self._batches.calls(op, node.meta["val"], self._without_batch)
        except BatchMoved as error:
            if rule_of(op).kind is Kind.CONSTANT:
                self._refuse_choice(op, value)
            elif not self._without_batch.intersection(op.inputs):
                self._refuse(op, str(error), None if "; " in str(error) else _APART)
            self._lose_batch(op)
            return
        for call in calls[:-1]:
            self._add(call)
        self._read_signal(node, calls[-1])

    def _read_signal(self, node: fx.Node, op: Operation) -> None:
        """Add a call that reads data, all of it with the batch first."""
        value = node.meta["val"]
        op = rule_of(op).normal_form(op, self._reading(node))
        self._converts |= node.target is CONVERSION and op.target is not CONVERSION
        if op.target is not node.target and isinstance(value, (tuple, list)):
            self._single.add(node)
            value = value[0]
            self._batches.settle(op, value)
        objection = sizes_objection(op)
        if objection and not self._without_batch.intersection(op.inputs):
            self._refuse(op, objection)
            self._operations.append(replace(op, shape=self._sample_shape(op, value)))
            return
        op = self._classified(op, value)
        self._makers[op.name] = op
        alone = op.kind is Kind.UNIT and not op.shape
        self._operations.extend(with_a_channel(op) if alone else [op])

    def _add(self, op: Operation) -> None:
        """Add an operation that moves values or is a constant."""
        self._makers[op.name] = op
        self._shapes[op.name] = op.shape
        if op.kind is Kind.CONSTANT:
            self._constants.add(op.name)
        self._operations.append(op)

    def _lose_batch(self, op: Operation) -> None:
        self._without_batch.add(op.name)
        self._operations.append(op)

    def _reads_first(self, node: fx.Node) -> bool:
        """Whether a node takes the first of several values where the graph keeps that one alone."""
        source: Any = node.args[0] if node.args else None
        if node.target is not operator.getitem or source not in self._single:
            return False
        if node.args[1] == 0:
            self._references[node] = self._references[source]
            return True
        reason = f"it takes another result of {source.target} than the first"
        remedy = "do it outside the network, or use the values alone"
        asked = getattr(source.target, "_opname", "")
        if asked.startswith(("max", "min", "adaptive_max")):
            reason = "it takes the places of the largest or smallest values, which no spikes carry"
        if asked.startswith("max_pool"):
            remedy += "; F.interpolate (nearest) can stand for nn.MaxUnpool, trained anew"
        op = operation_of(node, self._references)
        self._refuse(op, reason, remedy)
        self._references[node] = Value(node.name)
        self._lose_batch(op)
        return True

    def _reading(self, node: fx.Node) -> Reading:
        source: Any = node.args[0] if node.args else None
        values = [node.meta.get("val")]
        values.append(source.meta.get("val") if isinstance(source, fx.Node) else None)
        result, first = (v.dtype if isinstance(v, Tensor) else None for v in values)
        return Reading(self._tensors, self._shapes, self._makers, result, first)

    def _read_constant(self, node: fx.Node, op: Operation) -> None:
        references = ((leaf, self._references.get(leaf)) for leaf in node.all_input_nodes)
        signals = {
            reference.name: leaf.meta["val"]
            for leaf, reference in references
            if isinstance(reference, Value)
        }
        self._references.update(self._batches.constants.read(node, op, signals))

    def _classified(self, op: Operation, value: Any) -> Operation:
        """The operation with its kind, shape and site; an offender is noted, once."""
        op = replace(op, shape=self._sample_shape(op, value))
        rule = rule_of(op)
        kind = kind_of(op, self._constants, self._tensors)
        alone = self._constants.issuperset(op.inputs)
        if alone and kind is Kind.CONSTANT and op.name not in self._without_batch:
            if mixes := self._batches.mixing(op, value):
                if not self._without_batch.intersection(op.inputs):
                    self._refuse(op, mixes)
                self._without_batch.add(op.name)
            self._constants.add(op.name)
            return replace(op, kind=kind)
        if rule.kind is Kind.CONSTANT:
            self._refuse_choice(op, value)
            return op
        if self._without_batch.intersection(op.inputs):
            if not isinstance(value, Tensor):
                self._without_batch.add(op.name)
            return op  # what moved the batch away is refused; rules cannot judge what follows
        if kind is Kind.UNIT:
            site = rule.site(op)
            if isinstance(site, str):
                self._refuse(op, site)
                return op
            if op.shape != self._shapes.get(op.inputs[0], op.shape):
                op = self._repeated(op)
            return replace(op, kind=Kind.UNIT, site=replace(site, name=self._site_name(op)))
        op = replace(op, kind=kind)
        objection = objection_to(op, self._dimensions(op), self._constants)
        if objection is None and op.name in self._without_batch:
            objection = (
                "its result has lost the batch as its first dimension; bring it back there before"
            )
        if objection:
            self._refuse(op, objection)
        return op

    def _repeated(self, op: Operation) -> Operation:
        """A function of one signal and a larger constant, reading a repeated signal."""
        (source,) = op.inputs
        args = (Value(source), [BATCH, *op.shape])
        wide = replace(op, name=f"{op.name}_wide", target=EXPAND, args=args, kwargs={})
        self._add(wide)
        return op.rewired({source: wide.name})

    def _sample_shape(self, op: Operation, value: Any) -> tuple[int, ...]:
        """Shape of one sample's value, of the first of several; what lost the batch is noted."""
        if isinstance(value, Tensor):
            layout = self._batches.layouts.get(op.name)
            if layout is None:
                self._without_batch.add(op.name)
                return ()
            self._shapes[op.name] = layout.sample
            return layout.sample
        if op.target is BATCH_NORM:
            self._shapes[op.name] = self._shapes.get(op.inputs[0], ())
            return self._shapes[op.name]
        return ()

    def _dimensions(self, op: Operation) -> dict[str, int]:
        return {n: 1 + len(self._shapes[n]) for n in op.inputs if n in self._shapes}

    def _site_name(self, op: Operation) -> str:
        name = op.module
        if not is_leaf(self._model, op.module):
            name = f"{op.module}.{op.function}" if op.module else op.function
        calls = self._site_calls[name] = self._site_calls.get(name, 0) + 1
        return name if calls == 1 else f"{name}:{calls}"

    def _refuse_choice(
        self, op: Operation, value: Any, reason: str = "no rule for this operation"
    ) -> None:
        self._choices.note(op, value)
        self._refuse(op, reason, remedy_of(op))

    def _refuse(self, op: Operation, reason: str, remedy: str | None = None) -> None:
        written = self._as_written.get(op.name, op.operator)
        self._offenders.append(offender(op, written, f"{reason}; {remedy}" if remedy else reason))
