"""A graph as a PyTorch module."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from spikewright.graph.evaluate import evaluate
from spikewright.graph.ir import Graph


class GraphNetwork(nn.Module):
    """Holds a graph; its tensors are buffers, which move and are saved with the module."""

    _reference: Tensor
    """Empty; of the network's dtype, where the network is."""

    def __init__(self, graph: Graph) -> None:
        """Take the graph's tensors as they are, without copying them."""
        super().__init__()
        self._buffer_names = {name: f"tensor:{name.replace('.', '/')}" for name in graph.tensors}
        for name, tensor in graph.tensors.items():
            self.register_buffer(self._buffer_names[name], tensor)
        weights = (t for t in graph.tensors.values() if t.is_floating_point())
        reference = next(weights, torch.empty(0)).new_empty(0)
        self.register_buffer("_reference", reference, persistent=False)
        self._graph = replace(graph, tensors={})
        self.eval()

    @property
    def graph(self) -> Graph:
        """The captured network, batch norm folded, with its tensors where they now are."""
        tensors = {name: self.get_buffer(held) for name, held in self._buffer_names.items()}
        return replace(self._graph, tensors=tensors)

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights, and of the samples it takes."""
        return self._reference.dtype


class CapturedANN(GraphNetwork):
    """The network that was converted, as it was captured: activations in place, no spikes."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[B, classes]` of a batch `[B, *S]`."""
        return evaluate(self.graph, images)
