"""Units that the model writes out: their body is a small graph of its own."""

from __future__ import annotations

from spikewright.graph.fusing import FUSED, fusable, members_of
from spikewright.graph.ir import Kind, Operation, Site
from spikewright.graph.rule import Rule, register


class Fused(Rule):
    """A function of one signal, or of groups of it, that `Operation.body` computes."""

    targets = (FUSED,)
    kind = Kind.UNIT

    def site(self, op: Operation) -> Site | str:
        described = super().site(op)
        if isinstance(described, str):
            return described
        inner = [part for part in op.body if part.kind is not Kind.CONSTANT]
        if not inner or not all(fusable(part) for part in inner):
            return "its body holds operations that are no functions of one signal; convert it anew"
        return Site("", group=members_of(op.shape, op.body))


register(Fused())
