"""What a network has made of its tensors, all of which is forgotten when they change."""

from __future__ import annotations

from spikewright.graph.ir import Graph
from spikewright.graph.widened import widened
from spikewright.network.compiled import CompiledEngines
from spikewright.network.plan import plan_cache


class Made:
    """Plans by T, compiled engines, and the graph as the engines compute with it."""

    def __init__(self) -> None:
        """Start with nothing made."""
        self.plans = plan_cache()
        self.compiled = CompiledEngines()
        self._widened: Graph | None = None

    def widened(self, graph: Graph) -> Graph:
        """The network's graph, in float32 where it is of 16 bits; made once."""
        if self._widened is None:
            self._widened = widened(graph)
        return self._widened
