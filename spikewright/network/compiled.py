"""The count engine as one compiled function: each neuron layer fused into the pass over its input.

Everything that depends on T or on the batch enters as a tensor: folded weights, gains, the table of
the TPP law, T itself, the layers' random keys. So one compilation serves every T, every seed and
every batch size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from spikewright.graph.ir import BATCH, Graph, Kind, Stored, Value, mapped
from spikewright.network.plan import Plan
from spikewright.neurons import Draws, Neuron

_COMPILER_MISSING = ("InvalidCxxCompiler", "CppCompileError", "TritonMissing")
"""Names of what torch.compile raises where it finds no working compiler."""


class CompiledCounts:
    """A compiled forward pass of one network; its plans may differ in T alone."""

    def __init__(self, graph: Graph, neurons: Mapping[str, Neuron]) -> None:
        self._sites = [site.name for site in graph.sites]
        self._stored = list(graph.tensors)
        self._eager: Callable[..., Tensor] = counting_module(graph, neurons)
        self._compiled: Callable[..., Tensor] = torch.compile(self._eager)
        self._arguments: dict[int, list[Tensor]] = {}

    def __call__(self, plan: Plan, x: Tensor, *, seed: int, sample_ids: Tensor) -> Tensor:
        """Logits of a batch, as `run_counts` gives them."""
        keys = [Draws.of(seed, site, sample_ids).keys for site in self._sites]
        x = _channels_last(x)
        for tensor in (x, *keys):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        arguments = (x, *keys, *self._fixed(plan))
        try:
            return self._compiled(*arguments)
        except Exception as error:
            if not any(name in repr(error) for name in _COMPILER_MISSING):
                raise
            warnings.warn(
                "torch.compile found no working C++ compiler; running uncompiled, which is slower. "
                "Install one (such as g++) to compile.",
                stacklevel=2,
            )
            self._compiled = self._eager
            return self._eager(*arguments)

    def _fixed(self, plan: Plan) -> list[Tensor]:
        """The arguments that depend on the plan alone, made once."""
        if plan.levels not in self._arguments:
            self._arguments[plan.levels] = fixed_arguments(plan, self._sites, self._stored)
        return self._arguments[plan.levels]
