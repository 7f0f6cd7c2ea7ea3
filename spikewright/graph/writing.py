"""Programs rewritten before they are read: new calls in place of some of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from spikewright.graph.ir import mapped, walk

aten = torch.ops.aten

_ORIGIN = ("nn_module_stack", "stack_trace", "source_fn_stack")
"""What a node tells of the user's code."""


class Writing:
    """One pass over a program, a copy of which is changed; one use.

    Args:
        program: functional.

    Attributes:
        program: the copy.
        signals: the nodes that depend on the program's inputs.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program.run_decompositions({})
        specs = self.program.graph_signature.input_specs
        self.graph = self.program.graph
        self.signals = {
            node
            for node, spec in zip(self.graph.nodes, specs, strict=False)
            if spec.kind is InputKind.USER_INPUT
        }
        self._here: fx.Node

    def calls(self) -> Iterator[fx.Node]:
        """Yield every call on signals, in order; new calls stand in front of it meanwhile."""
        for node in list(self.graph.nodes):
            if node.op == "call_function" and self.signals.intersection(node.all_input_nodes):
                self.signals.add(node)
                self._here = node
                with self.graph.inserting_before(node):
                    yield node

    def finished(self) -> ExportedProgram:
        """The changed program, without what nothing reads."""
        self.graph.eliminate_dead_code()
        self.program.graph_module.recompile()
        return self.program

    def call(self, target: Callable[..., Any], *args: Any, **options: Any) -> fx.Node:
        """A new call."""
        node = self.graph.call_function(target, args, options)

        def value(leaf: Any) -> Any:
            return leaf.meta["val"] if isinstance(leaf, fx.Node) else leaf

        read = (leaf for n in self._here.all_input_nodes for leaf in walk(n.meta["val"]))
        mode: Any = next(leaf for leaf in read if isinstance(leaf, Tensor))
        with mode.fake_mode:
            made = target(*mapped(args, value), **mapped(options, value))
        origin = {key: told for key, told in self._here.meta.items() if key in _ORIGIN}
        node.meta = {**origin, "val": made}
        if self.signals.intersection(node.all_input_nodes):
            self.signals.add(node)
        return node

    def instead(self, node: fx.Node, other: fx.Node) -> None:
        """Let another node stand for one, as contiguous as that is, for the views that follow."""
        if node.meta["val"].is_contiguous() and not other.meta["val"].is_contiguous():
            other = self.call(aten.clone.default, other, memory_format=torch.contiguous_format)
        self.signals.add(other)
        node.replace_all_uses_with(other)
