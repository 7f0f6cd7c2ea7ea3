"""A graph as a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, NoReturn, Self, SupportsIndex

import torch
from torch import Tensor, nn

from spikewright.errors import InterchangeError
from spikewright.graph.evaluate import Handler, answered, check_inputs, evaluate
from spikewright.graph.full_precision import full_precision
from spikewright.graph.inputs import batch_of
from spikewright.graph.ir import Graph
from spikewright.graph.widened import with_dtypes


class GraphNetwork(nn.Module):
    """Holds a graph; its tensors are buffers, which move and are saved with the module."""

    _reference: Tensor
    """Empty; of the network's dtype, where the network is."""

    def __init__(self, graph: Graph) -> None:
        """Take the graph's tensors as they are, without copying them."""
        super().__init__()
        self._buffer_names = {name: _buffer_of(name) for name in graph.tensors}
        for name, tensor in graph.tensors.items():
            self.register_buffer(self._buffer_names[name], tensor)
        self.register_buffer("_reference", graph.like, persistent=False)
        self._graph = replace(graph, tensors={})
        self.eval()

    @property
    def graph(self) -> Graph:
        """The captured network, batch norm folded, with its tensors where they now are."""
        tensors = {name: self.get_buffer(buffer) for name, buffer in self._buffer_names.items()}
        return replace(self._graph, tensors=tensors)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, and of the samples that the network takes."""
        return self._reference.dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        before = self.dtype
        super()._apply(fn, recurse)
        if self.dtype is not before:  # operations that convert to the old one, to the new one now
            self._graph = with_dtypes(self._graph, {before: self.dtype})
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        for name, tensor in self.named_buffers(recurse=False):
            self._buffers[name] = tensor.clone()  # written to below; other networks may share it
        super()._load_from_state_dict(*args, **kwargs)

    def _copied_state(self) -> dict[str, Any]:
        """What a copy is made of."""
        return self.__dict__

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy = self.__class__.__new__(self.__class__)
        memo[id(self)] = copy
        copy.__dict__.update(deepcopy(self._copied_state(), memo))
        return copy

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise InterchangeError(
            f"a {type(self).__name__} cannot be pickled (torch.save, multiprocessing): write a "
            "spiking network with snn.save(path) and read it with spikewright.load(path); "
            "copy.deepcopy(snn) works"
        )


def _buffer_of(name: str) -> str:
    """The buffer of a tensor, another one for every name: torch allows no dot in that of a buffer.

    A slash stands for it; those of the name itself, as keys of a ModuleDict may hold, are escaped.
    """
    escaped = name.replace("~", "~0").replace("/", "~1")
    return f"tensor:{escaped.replace('.', '/')}"


class CapturedANN(GraphNetwork):
    """The network that was converted, as it was captured: activations in place, no spikes."""

    @full_precision()
    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """The model's answer to a batch, given and put together as the model has it.

        Raises:
            ConversionError: for input that the network was not captured for.
        """
        graph = self.graph
        batch = batch_of(graph.call.inputs(inputs, keywords, graph.tensors))
        check_inputs(graph, batch, self._reference)
        return answered(graph, evaluate(graph, batch, self._handlers(graph)))

    def _handlers(self, graph: Graph) -> Mapping[Any, Handler]:
        """What is done in place of the model's own operations, by kind."""
        return {}
