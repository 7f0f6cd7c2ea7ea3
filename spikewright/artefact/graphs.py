"""The graph as JSON. Only operations that have a rule can be written and read.

What an operation is to a spiking network (its kind, its site) is not in the file: its rule decides
it again, so no file can claim that something is linear when it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from torch import Tensor

from spikewright import rules as _register_rules  # noqa: F401  # pyright: ignore
from spikewright.artefact import arguments, calls, structures
from spikewright.artefact.calls import decoded_shape
from spikewright.artefact.fields import items, mapping, named, typed, whole
from spikewright.errors import InterchangeError
from spikewright.graph.fusing import FUSED
from spikewright.graph.ir import ROOT, Graph, Kind, Operation
from spikewright.graph.rule import UNKNOWN, kind_of, rule_of, target_name, target_named

_PARTS = (
    "name",
    "operation",
    "args",
    "kwargs",
    "shape",
    "module",
    "source",
    "site",
    "alike",
    "channels",
    "body",
)
_MOST_OPERATIONS = 100_000


def encoded(graph: Graph) -> dict[str, Any]:
    """A graph as plain values, its tensors apart.

    Raises:
        InterchangeError: for an operation that no file can name.
    """
    return {
        "takes": calls.encoded(graph.inputs, graph.call),
        "outputs": list(graph.outputs),
        "answer": structures.encoded(graph.structure),
        "operations": [_encoded_operation(op) for op in graph.operations],
    }


def _encoded_operation(op: Operation) -> dict[str, Any]:
    if rule_of(op) is UNKNOWN:
        raise InterchangeError(
            f"operation '{op.name}' ({op.operator}, {op.source or op.module}) cannot be saved: no "
            "signal reaches it, and it has no rule by which a file could name it"
        )
    return {
        "name": op.name,
        "operation": target_name(op.target),
        "args": arguments.encoded(op.args),
        "kwargs": {name: arguments.encoded(value) for name, value in op.kwargs.items()},
        "shape": list(op.shape),
        "module": op.module,
        "source": op.source.replace("\\", "/").rpartition("/")[2],  # no folder of one machine
        "site": None if op.site is None else op.site.name,
        "alike": "" if op.site is None else op.site.alike,
        "channels": [] if op.site is None else list(op.site.channels),
        "body": [_encoded_operation(inner) for inner in op.body],
    }


def decoded(document: Any, tensors: Mapping[str, Tensor]) -> Graph:
    """The graph that `encoded` wrote, with its tensors; every name it reads is there before.

    Raises:
        InterchangeError: for anything else.
    """
    takes, outputs, answer, listed = named(
        mapping(document, "the graph"),
        ("takes", "outputs", "answer", "operations"),
        "the graph",
    )
    inputs, call = calls.decoded(takes, tensors)
    outputs = tuple(typed(name, str, "an output") for name in items(outputs, "the outputs"))
    if len(items(listed, "the operations")) > _MOST_OPERATIONS:
        raise InterchangeError(f"the graph holds more than {_MOST_OPERATIONS:,} operations")
    known, sites = {port.name for port in inputs}, set[str]()
    constants = {port.name for port in inputs if port.dtype is not None}
    operations: list[Operation] = []
    for number, entry in enumerate(listed):
        op = _decoded_operation(entry, f"operation {number}", constants, tensors)
        _check_names(op, known, tensors, sites)
        known.add(op.name)
        if op.kind is Kind.CONSTANT:
            constants.add(op.name)
        operations.append(op)
    if not outputs or not known.issuperset(outputs) or not sites:
        raise InterchangeError("the graph computes no output, or has no layer of neurons")
    structure = structures.decoded(answer, len(outputs), tensors)
    graph = Graph(tuple(operations), tensors, inputs, outputs, structure, call)
    if len(set(outputs)) != len(outputs) or len(graph.pruned().operations) != len(operations):
        raise InterchangeError("the graph holds operations that its outputs do not need")
    return graph


def _decoded_operation(
    entry: Any, what: str, constants: Set[str], tensors: Mapping[str, Tensor]
) -> Operation:
    name, target, args, kwargs, shape, module, source, site, alike, channels, body = named(
        mapping(entry, what), _PARTS, what
    )
    what = f"{what} ('{typed(name, str, what)}')"
    function = target_named(target) if isinstance(target, str) else None
    if function is None:
        raise InterchangeError(f"{what}: {str(target)[:80]!r} has no rule here")
    return _classified(
        Operation(
            name,
            function,
            tuple(arguments.decoded(items(args, what), what)),
            {key: arguments.decoded(value, what) for key, value in mapping(kwargs, what).items()},
            shape=decoded_shape(shape, what),
            module=typed(module, str, what),
            source=typed(source, str, what),
            body=_decoded_body(body, what, tensors),
        ),
        None if site is None else typed(site, str, what),
        typed(alike, str, f"{what}: what it is alike"),
        tuple(whole(dim, f"{what}: its channels", 1) for dim in items(channels, what)),
        what,
        constants,
        tensors,
    )


def _decoded_body(document: Any, what: str, tensors: Mapping[str, Tensor]) -> tuple[Operation, ...]:
    """The operations of a unit that a model wrote out; each reads those before it."""
    known, constants, body = {ROOT}, set[str](), list[Operation]()
    for entry in items(document, f"{what}: its body"):
        inner = _decoded_operation(entry, f"{what}: in its body", constants, tensors)
        if inner.name in known or not known.issuperset(inner.inputs) or inner.body:
            raise InterchangeError(f"{what}: its body reads what is not there yet, or nests")
        known.add(inner.name)
        if inner.kind is Kind.CONSTANT:
            constants.add(inner.name)
        body.append(inner)
    return tuple(body)


def _classified(
    op: Operation,
    site: str | None,
    alike: str,
    channels: tuple[int, ...],
    what: str,
    constants: Set[str],
    tensors: Mapping[str, Tensor],
) -> Operation:
    """The operation with its kind and site, as its rule has them."""
    rule = rule_of(op)
    try:
        kind = kind_of(op, constants, tensors)
        if kind is Kind.UNIT:
            described = rule.site(op)
            if isinstance(described, str) or site is None:
                raise InterchangeError(f"{what} is no layer of neurons: {described}, site {site!r}")
            if list(channels) != sorted(set(channels)) or any(d > len(op.shape) for d in channels):
                raise InterchangeError(f"{what}: its channels {channels} are no dimensions of it")
            named_site = replace(described, name=site, alike=alike, channels=channels)
            return replace(op, kind=kind, site=named_site)
        if site is not None:
            raise InterchangeError(f"{what} has a site, and is no activation")
        if kind is Kind.CONSTANT and not constants >= set(op.inputs):
            raise InterchangeError(f"{what}: {op.operator} is no operation on signals")
        if kind is not Kind.CONSTANT and rule.composite(op, constants):
            raise InterchangeError(f"{what}: {op.operator} stands for several operations")
        return replace(op, kind=kind)
    except (IndexError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise InterchangeError(f"{what} lacks arguments ({error})") from error


def _check_names(
    op: Operation, known: set[str], tensors: Mapping[str, Tensor], sites: set[str]
) -> None:
    """Names are new, what is read is there, and every site has a name of its own."""
    if op.name in known:
        raise InterchangeError(f"two values are named '{op.name}'")
    missing = [name for name in op.inputs if name not in known]
    missing += [name for name in op.stored if name not in tensors]
    missing += {name for inner in op.body for name in inner.stored}.difference(op.stored)
    if missing:
        raise InterchangeError(
            f"operation '{op.name}' reads {missing[0]!r}, which is not there yet"
        )
    if bool(op.body) is not (op.target is FUSED):
        raise InterchangeError(f"operation '{op.name}' has a body, and is not computed by it")
    if op.site is not None:
        if not op.site.name or op.site.name in sites:
            raise InterchangeError(
                f"two layers of neurons are named '{op.site.name}', or one has no name"
            )
        sites.add(op.site.name)
