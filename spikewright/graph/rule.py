"""What one family of operations is to every room: the base class, and the registry of its kinds.

A rule is registered once and then tells all that is asked of an operation: what it is to a spiking
network, which calls are refused, how a scale passes, what it costs, how reports name it and NIR
writes it. The library's stand in `spikewright.rules`; another is a class and a call of `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from spikewright.graph.ir import Graph, Kind, Operation, Site, Stored, Value, mapped
from spikewright.graph.matrix import MatrixView
from spikewright.graph.nodes import Meeting, Node, Refusal
from spikewright.graph.routes import Route


@dataclass(frozen=True)
class Geometry:
    """Where the kernel of a 2-d convolution of one group stands: rows, then columns."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


@dataclass(frozen=True)
class Reading:
    """What is known of a program where one of its calls is read.

    Attributes:
        tensors: the stored tensors, by name; a rule adds those that its form of the call needs.
        shapes: of the signals read so far, for one sample, by name.
        makers: the operations read so far, by name.
        dtype: of the call's value, or None where it gives no tensor.
        source_dtype: of its first argument, or None where that is no tensor.
    """

    tensors: dict[str, Tensor]
    shapes: Mapping[str, tuple[int, ...]]
    makers: Mapping[str, Operation]
    dtype: torch.dtype | None = None
    source_dtype: torch.dtype | None = None

    def maker(self, leaf: Any) -> Operation | None:
        """The operation that computes an argument, or None."""
        return self.makers.get(leaf.name) if isinstance(leaf, Value) else None

    def tensor(self, leaf: Any) -> Tensor | None:
        """The stored tensor that stands as an argument, or None."""
        return self.tensors[leaf.name] if isinstance(leaf, Stored) else None

    def keep(self, name: str, tensor: Tensor) -> Stored:
        """Store a tensor; the reference to it."""
        return Stored.made(self.tensors, name, tensor)


class Rule:
    """A family of operations; subclasses change the answers that are not these.

    The answers of this class are those of an operation that nobody knows: it may compute a
    constant and is refused where it reads data.

    Attributes:
        targets: the functions that the rule speaks for, ATen overloads or custom operators.
        kind: what they are to a spiking network; `CONSTANT` for those that may read no data.
        reads_batch_size: whether the size of the batch may stand as an argument of its own.
        weight_at, bias_at: positions of the stored weights and bias among the arguments, or None.
        bias_dim: the dimension of the value along which the bias runs.
        called: the name that users know, where capture has another, such as "aten.batch_norm".
        label: its words in reports where `words` says no more; "" where it only moves data.
        unwritten: why NIR has no node for it, where `nir` says no more.
        rectifies: whether a unit is max(x, 0), perhaps with a ceiling; see `Site`.
        rounds_to_bf16: whether it may read whole numbers and its weights in bfloat16.
        within_units: whether a unit that the model writes out may hold it, and nothing else.
    """

    targets: tuple[Callable[..., Any], ...] = ()
    kind: Kind = Kind.CONSTANT
    reads_batch_size: bool = False
    weight_at: int | None = None
    bias_at: int | None = None
    bias_dim: int = 1
    called: str = ""
    label: str = ""
    unwritten: Refusal = Refusal(
        "NIR has no node for it",
        "make it of convolutions, linear layers, average pooling, additions, products with "
        "constants and flatten",
    )
    rectifies: bool = False
    rounds_to_bf16: bool = False
    within_units: bool = False

    def kind_of(self, op: Operation, constants: Set[str]) -> Kind:
        """What a call that reads data is to a spiking network.

        Args:
            op: the call.
            constants: names of those of its inputs that do not depend on the network's input.
        """
        return self.kind

    def begins_signal(self, op: Operation, tensors: Mapping[str, Tensor]) -> bool:
        """Whether a call that reads constants alone gives a signal: weights times a constant.

        Args:
            op: the call.
            tensors: the stored ones, by name.
        """
        return self.weight_at is not None

    def composite(self, op: Operation, constants: Set[str]) -> bool:
        """Whether several operations stand for a call; the arguments are those of `kind_of`."""
        return False

    def write_out(self, op: Operation, page: Any) -> Value | tuple[Value, ...]:
        """Write the operations that stand for a composite call; the value of the last one.

        A call of several values gives all of them, in order.

        Args:
            op: the call.
            page: the `graph.composites.Page` to write on.
        """
        raise NotImplementedError

    def elementary(self, op: Operation, page: Any) -> Value | None:
        """Write a unit, of `Site.group` above 1, as units of one charge each; see `write_out`.

        None, with nothing written, where it cannot be built so.
        """
        return None

    def product_objection(self, op: Operation, dimensions: Mapping[str, int]) -> str | None:
        """Why a product, or a maximum, of two signals is refused, or None.

        Args:
            op: the call.
            dimensions: of each of its inputs, by name, the batch included.
        """
        return None

    def left_over(self, op: Operation) -> str | None:
        """Why a call of kind `PRODUCT` is refused that is no part of a unit, or None."""
        return None

    def objection(self, op: Operation, ndim: int) -> str | None:
        """Why a call is refused, or None; asked only of operations that read data.

        Args:
            op: the call.
            ndim: dimensions of the data that it reads, the batch included.
        """
        return None

    def site(self, op: Operation) -> Site | str:
        """The site that an activation makes, its name still empty, or why it makes none.

        By default every function of one signal and constants, value by value, makes one.
        """
        if self.kind is not Kind.UNIT:
            return "it is no activation; its rule is at fault"
        if len(op.inputs) != 1:
            return (
                "it is a function of two signals; write it with products and functions of one, as "
                "a ** b is torch.exp(b * torch.log(a)), or make one of them a constant"
            )
        return Site("", rectifies=self.rectifies)

    def normal_form(self, op: Operation, reading: Reading) -> Operation:
        """The operation as the graph keeps it: another spelling of the same call.

        It is asked before the call is judged, and the rule of its answer judges. Where the call
        gives several values and its form gives one, that one is the first.
        """
        return op

    def parts(self, op: Operation, largest: int) -> int:
        """How many values it gives at most, where `largest` is the largest size that it reads."""
        return 1

    def takes_batch_norm(self, op: Operation) -> bool:
        """Whether the rows of its weights are the channels (dimension 1) of its value."""
        return False

    def absorbed(self, op: Operation, weight: Tensor, scale: Tensor) -> Tensor | None:
        """Weights that take in the scale of the input, or None where they cannot.

        Args:
            op: of a rule with `weight_at`.
            weight: the stored weights.
            scale: of its first input, broadcastable to `[1, *S]`.
        """
        return None

    def matrix(self, op: Operation, weight: Tensor) -> MatrixView | None:
        """The product of a matrix with what each place reads, or None where it is none.

        Args:
            op: of a rule with `weight_at`.
            weight: the stored weights.
        """
        return None

    def passed(self, op: Operation, scales: Mapping[str, Any], graph: Graph) -> Any | None:
        """The scale of the value, as small as it can be written, or None where none can pass.

        Args:
            op: the operation.
            scales: of those inputs that have one, by name, broadcastable to `[1, *S]`; for the
                input of several values, a list.
            graph: that it stands in.
        """
        return None

    def keeps_whole_numbers(self, op: Operation, graph: Graph) -> bool:
        """Whether it gives whole numbers, none larger, where all its inputs are whole numbers."""
        return False

    def geometry(self, op: Operation, graph: Graph) -> Geometry | None:
        """The 2-d convolution of one group that it is, or None; asked for the integer kernels."""
        return None

    def compiled_target(self, op: Operation) -> Callable[..., Any]:
        """The function that a compiler makes the fastest code of, of the same arguments."""
        return op.target

    def route(self, op: Operation, graph: Graph) -> Route | None:
        """What it does to events and numbers, for the account of energy; None where unknown."""
        return None

    def evaluated(self, op: Operation) -> tuple[str, int]:
        """The function that a unit computes for it, and how often, as energy is counted."""
        return op.function, 1

    def words(self, op: Operation, graph: Graph) -> str:
        """What it computes, such as "conv 3×3, 16 → 32"."""
        return self.label

    def nir(self, op: Operation, graph: Graph) -> tuple[Node, ...] | Meeting | Refusal:
        """The NIR nodes that stand for it, one after the other, or why there are none."""
        return self.unwritten

    def lost_in_onnx(self, op: Operation) -> str | None:
        """What torch's exporter to ONNX leaves out, such as "divisor_override=3", or None."""
        return None


UNKNOWN = Rule()
"""The rule of an operation that nobody registered."""

_RULES: dict[Any, Rule] = {}
_TARGETS: dict[str, Any] = {}
_CALLED: dict[str, str] = {}


def register(*rules: Rule) -> None:
    """Let rules speak for their targets; the last one registered speaks."""
    for rule in rules:
        _RULES.update((target, rule) for target in rule.targets)
        _TARGETS.update((target_name(target), target) for target in rule.targets)
        if rule.called:
            _CALLED.update((Operation("", t, ()).operator, rule.called) for t in rule.targets)


def rule_of(op: Operation) -> Rule:
    """The rule of an operation; `UNKNOWN` where none is registered."""
    return _RULES.get(op.target, UNKNOWN)


def kind_of(op: Operation, constants: Set[str], tensors: Mapping[str, Tensor]) -> Kind:
    """What an operation is to a spiking network.

    What is computed of constants is one until weights meet it or it chooses: there signals begin.

    Args:
        op: the call.
        constants: names of the values that no signal reaches.
        tensors: the stored ones, by name.
    """
    rule = rule_of(op)
    if constants >= set(op.inputs) and not (op.inputs and rule.begins_signal(op, tensors)):
        return Kind.CONSTANT
    return rule.kind_of(op, constants)


def objection_to(
    op: Operation, dimensions: Mapping[str, int], constants: Set[str] = frozenset()
) -> str | None:
    """Why an operation that reads data is refused, or None.

    Args:
        op: with its kind.
        dimensions: of its inputs, the batch included, as far as they are known.
        constants: names of the values that no signal reaches; to a rule they are stored tensors.
    """

    def known(leaf: Any) -> Any:
        constant = isinstance(leaf, Value) and leaf.name in constants
        return Stored(leaf.name) if constant else leaf

    op = replace(op, args=mapped(op.args, known), kwargs=mapped(op.kwargs, known))
    if op.kind is Kind.PRODUCT or (op.kind is Kind.MAX and len(op.inputs) > 1):
        return rule_of(op).product_objection(op, dimensions)
    return rule_of(op).objection(op, max(dimensions.values(), default=1 + len(op.shape)))


def registered() -> Mapping[Any, Rule]:
    """Every rule by target."""
    return dict(_RULES)


def known_as(operator: str) -> str:
    """The name that users know of an `Operation.operator`."""
    return _CALLED.get(operator, operator)


def target_name(target: Any) -> str:
    """The name of a registered function in a file, such as `aten.conv2d.default`."""
    return str(target) if isinstance(target, OpOverload) else str(target.__name__)


def target_named(name: str) -> Any | None:
    """The registered function of a name, or None."""
    return _TARGETS.get(name)
