"""The count engine as one compiled function: each neuron layer fused into the pass over its input.

Everything that depends on T enters as a tensor: folded weights, gains, the table of the TPP law, T
itself, the layers' random keys. So one compilation serves every T and every seed. Kernels for a
fixed batch size are several times faster than those for any; a smaller batch, such as the last one
of a data set, is filled up and its answer cut, which changes no sample's answer.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from spikewright.graph.ir import BATCH, Graph, Kind, Stored, Value, mapped
from spikewright.network.plan import (
    PLANS_KEPT,
    SILENT,
    Observer,
    Plan,
    spikes_per_sample,
)
from spikewright.neurons import Draws, LayerLaw, Neuron, count_law
from spikewright.neurons.counter_random import layer_keys, site_keys

_LARGEST_FILL = 4
"""A batch is filled up to a compiled size at most so many times its own."""

_LAW_BLOCK = (count_law.INTERVALS + 1) * 256
"""The table of the TPP law is filled up to multiples of its size at T = 256."""

_COMPILER_MISSING = ("InvalidCxxCompiler", "TritonMissing")
"""Names of what torch.compile raises where it finds no compiler."""


_Pass = Callable[..., tuple[Tensor, ...]]


def compiled(function: Callable[..., Any], *, dynamic: bool) -> Callable[..., Any]:
    """A compiled function that, where there is no compiler, warns once and runs as it is."""
    fast = torch.compile(function, dynamic=dynamic)
    works = True

    def run(*arguments: Any) -> Any:
        nonlocal works
        if works:
            try:
                return fast(*arguments)
            except Exception as error:  # what is raised has moved between versions of torch
                if not any(name in repr(error) for name in _COMPILER_MISSING):
                    raise
                works = False
                _warn_of_missing_compiler()
        return function(*arguments)

    return run


def _warn_of_missing_compiler() -> None:
    warnings.warn(
        "torch.compile found no C++ compiler, so the network runs uncompiled, which is slower: "
        "install one, such as g++",
        stacklevel=2,
    )


@lru_cache
def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """A time loop of neurons as one kernel, for arrays of any size."""
    return compiled(function, dynamic=True)


class CompiledCounts:
    """The compiled forward passes of one network: one for each batch size met."""

    def __init__(self, plan: Plan) -> None:
        self._operations = plan.graph.operations
        self._sites = [site.name for site in plan.graph.sites]
        self._site_keys = site_keys(self._sites, torch.device("cpu"))
        self._stored = list(plan.graph.tensors)
        self._neurons = plan.graph.neurons
        self._passes: dict[bool, _Pass] = {}
        for counting in (False, True):  # compiled when first called
            module = counting_module(plan.graph, plan.neurons, count_spikes=counting)
            self._passes[counting] = compiled(module, dynamic=False)
        self._sizes: set[int] = set()
        self._arguments: dict[int, list[Tensor]] = {}

    def fits(self, plan: Plan) -> bool:
        """Whether a plan differs from the first one in its tensors alone."""
        return plan.graph.operations == self._operations

    def __call__(
        self,
        plan: Plan,
        x: Tensor,
        *,
        seed: int,
        sample_ids: Tensor,
        observer: Observer = SILENT,
    ) -> Tensor:
        """Logits of a batch, as `run_counts` gives them.

        Args:
            plan: one that `fits`.
            x: `[B, *S]`.
            seed: of the random draws.
            sample_ids: int64 `[B]`.
            observer: only its `sent` is served.
        """
        batch = len(x)
        fill = self._size_for(batch) - batch
        if fill:
            x = torch.cat([x, x[:1].expand(fill, *x.shape[1:])])
            sample_ids = torch.cat([sample_ids, sample_ids[:1].expand(fill)])
        keys = layer_keys(seed, self._site_keys.to(x.device), sample_ids)
        arguments = (_channels_last(x), keys, *self._fixed(plan))
        if observer.sent is None:
            (logits,) = self._passes[False](*arguments)
        else:
            logits, *sent = self._passes[True](*arguments)
            for op, spikes in zip(self._neurons, sent, strict=True):
                observer.sent(op, spikes[:batch])
        return logits[:batch]

    def _size_for(self, batch: int) -> int:
        """The compiled batch size that a batch runs at."""
        known = [size for size in self._sizes if batch <= size <= _LARGEST_FILL * batch]
        size = min(known, default=batch)
        self._sizes.add(size)
        return size

    def _fixed(self, plan: Plan) -> list[Tensor]:
        """The arguments that depend on the plan alone, made once for every T."""
        if plan.levels not in self._arguments:
            if len(self._arguments) == PLANS_KEPT:
                self._arguments.clear()
            self._arguments[plan.levels] = fixed_arguments(plan, self._sites, self._stored)
        return self._arguments[plan.levels]


def counting_module(
    graph: Graph, neurons: Mapping[str, Neuron], *, count_spikes: bool
) -> nn.Module:
    """The count engine of a scale-folded graph, as a module of straight-line code.

    Its forward takes `x`, the random keys `[sites, B]`, T, the sum of the steps' weights, the
    table of the TPP law, a gain and a correction for every site, and the stored tensors. It returns
    the logits and, with `count_spikes`, the spikes that each sample sent at every site.
    """
    code = fx.Graph()
    sites = [site.name for site in graph.sites]
    x = code.placeholder("x")
    all_keys = code.placeholder("keys")
    keys = {
        site: code.call_function(operator.getitem, (all_keys, i)) for i, site in enumerate(sites)
    }
    levels, total, law = (code.placeholder(name) for name in ("levels", "total_weight", "law"))
    gains = {site: code.placeholder(f"gain_{i}") for i, site in enumerate(sites)}
    shifts = {site: code.placeholder(f"correction_{i}") for i, site in enumerate(sites)}
    stored = {name: code.placeholder(f"stored_{i}") for i, name in enumerate(graph.tensors)}
    batch = code.call_function(torch.ops.aten.sym_size.int, (x, 0))
    values: dict[str, fx.Node] = {graph.input: x}
    sent: list[fx.Node] = []

    def known(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return values[leaf.name]
        if isinstance(leaf, Stored):
            return stored[leaf.name]
        return batch if leaf is BATCH else leaf

    for op in graph.operations:
        if op.kind is not Kind.NEURON:
            arguments = mapped(op.args, known), mapped(dict(op.kwargs), known)
            values[op.name] = code.call_function(op.target, *arguments)
            continue
        assert op.site is not None
        site = op.site.name
        emit = _emitting(neurons[site])
        layer = (gains[site], shifts[site], keys[site], levels, total, law)
        emitted = code.call_function(emit, (values[op.inputs[0]], *layer))
        values[op.name] = code.call_function(operator.getitem, (emitted, 0))
        sent.append(code.call_function(operator.getitem, (emitted, 1)))
    code.output((values[graph.output], *(sent if count_spikes else ())))
    return fx.GraphModule(nn.Module(), code)


def _emitting(neuron: Neuron) -> Callable[..., tuple[Tensor, Tensor]]:
    """A neuron layer as a function of tensors: mean current to mean spikes, and spikes sent."""

    def emit(
        current: Tensor,
        gain: Tensor,
        correction: Tensor,
        keys: Tensor,
        levels: Tensor,
        total_weight: Tensor,
        law: Tensor,
    ) -> tuple[Tensor, Tensor]:
        charge = (current + correction) * gain
        count = neuron.count(charge, LayerLaw(levels, Draws(keys), law))
        return count / total_weight, spikes_per_sample(neuron, count)

    return emit


def fixed_arguments(plan: Plan, sites: list[str], stored: list[str]) -> list[Tensor]:
    """The arguments of `counting_module` after the keys, for one plan."""
    like = plan.thresholds[sites[0]]
    levels = torch.tensor(float(plan.levels)).to(like)
    total = torch.tensor(plan.total_weight).to(like)
    law = like.new_empty(0)
    if any(neuron.reads_law for neuron in plan.neurons.values()):
        law = count_law.table(plan.levels, dtype=like.dtype, device=like.device)
        law = F.pad(law, (0, -len(law) % _LAW_BLOCK))  # few sizes, so few compilations
    gains = [plan.gain(site) for site in sites]
    shifts = [plan.corrections.get(site, torch.zeros_like(plan.thresholds[site])) for site in sites]
    weights = [_channels_last(plan.graph.tensors[name]) for name in stored]
    return [levels, total, law, *gains, *shifts, *weights]


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
