"""Calls that have no rule, decomposed into calls that have one.

torch.export keeps many calls whole that are short for others: `hstack`, `cosine_similarity`, `var`.
Those without a rule are written out before the program is read, by decompositions that rules
register or by torch's own. Calls that have a rule stay as the model writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.export import ExportedProgram, default_decompositions
from torch.export.graph_signature import InputKind
from torch.fx.node import map_arg

from spikewright.graph.calls import SHAPED_ALIKE
from spikewright.graph.ir import walk
from spikewright.graph.programs import placeholders
from spikewright.graph.rule import registered

_ROUNDS = 4
"""Decompositions of what decompositions give, at most."""

_OWN: dict[Any, Callable[..., Any]] = {}


def register_decompositions(decompositions: Mapping[Any, Callable[..., Any]]) -> None:
    """Let functions of tensors stand for calls; they may use any call that has a rule."""
    _OWN.update(decompositions)


def decomposed(program: ExportedProgram) -> ExportedProgram:
    """The same program, in which calls on signals without a rule are written out where they can be.

    Args:
        program: functional.
    """
    with _sized_repetitions(program):
        return _decomposed(program)


def _decomposed(program: ExportedProgram) -> ExportedProgram:
    for _ in range(_ROUNDS):
        unknown = _targets_on_signals(program) - registered().keys()
        if not unknown:
            break
        theirs = default_decompositions()
        table: dict[Any, Any] = {
            t: _OWN.get(t) or theirs[t] for t in unknown if t in _OWN or t in theirs
        }
        if not table:
            break
        program = program.run_decompositions(table)
    return program


@contextmanager
def _sized_repetitions(program: ExportedProgram) -> Generator[None]:
    """Tell repetitions by stored numbers how many places they give: tracing does not read those.

    Only while they are decomposed, as the program may be the user's.
    """
    _, stored = placeholders(program)

    def computed(node: fx.Node) -> Any:
        """The value of a node that depends on no input; None of another."""
        if node in stored:
            return stored[node][1]
        read = {source: computed(source) for source in node.all_input_nodes}
        if node.op != "call_function" or any(value is None for value in read.values()):
            return None
        target: Any = node.target
        args, kwargs = map_arg((node.args, node.kwargs), read.__getitem__)
        return target(*args, **kwargs)

    kept: dict[fx.Node, Any] = {}
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.repeat_interleave.self_Tensor:
            repeats = computed(node.args[1])
            if repeats is not None:
                kept[node] = node.kwargs
                node.kwargs = {**node.kwargs, "output_size": int(repeats.sum())}
    try:
        yield
    finally:
        for node, kwargs in kept.items():
            node.kwargs = kwargs


def _targets_on_signals(program: ExportedProgram) -> set[OpOverload]:
    """The operators called on what depends on the inputs, and not on its shape alone."""
    specs = program.graph_signature.input_specs
    nodes = iter(program.graph.nodes)
    signals: set[fx.Node] = {
        node for node, spec in zip(nodes, specs, strict=False) if spec.kind is InputKind.USER_INPUT
    }
    targets: set[OpOverload] = set()
    for node in program.graph.nodes:
        if node.op != "call_function" or not signals.intersection(node.all_input_nodes):
            continue
        shaped_alike = node.target in SHAPED_ALIKE
        if shaped_alike or not any(isinstance(leaf, Tensor) for leaf in walk(node.meta.get("val"))):
            continue
        signals.add(node)
        if isinstance(node.target, OpOverload):
            targets.add(node.target)
    return targets
