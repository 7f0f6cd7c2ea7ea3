"""Readers of NIR graphs that share nothing with the library: a naive one, Sinabs and snnTorch.

Each runs a graph as `nir.read` gives it, step by step. What stands between neurons is torch's; the
neurons are each simulator's own.
"""

from __future__ import annotations

from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

nir = pytest.importorskip("nir", reason="needs the extra 'nir'")

Neurons = Callable[[Tensor], Tensor]
"""A layer of neurons: current `[B, *S]` in, spikes `[B, *S]` out, its state kept inside."""


def run(
    path: Path, images: Tensor, steps: int, layer: Callable[[Any, Tensor], Neurons]
) -> tuple[dict[str, Tensor], Tensor]:
    """Spike counts `[B, *S]` by site, and the mean over the steps of what the graph puts out."""
    graph = nir.read(path)
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        before[target].append(source)
    order = list(TopologicalSorter(before).static_order())
    layers: dict[str, Neurons] = {}
    counts: dict[str, Tensor] = {}
    total = torch.zeros(())
    for _ in range(steps):
        values: dict[str, Tensor] = {}
        for name in order:
            node = graph.nodes[name]
            arriving = [values[source] for source in before[name]]
            value = sum(arriving[1:], arriving[0]) if arriving else images
            if isinstance(node, nir.IF):
                if name not in layers:
                    layers[name] = layer(node, value)
                value = layers[name](value)
                site = node.metadata["site"]
                counts[site] = counts.get(site, torch.zeros_like(value)) + value
            values[name] = STATELESS[type(node)](node, value)
        (output,) = (name for name in order if isinstance(graph.nodes[name], nir.Output))
        total = total + values[output]
    return counts, total / steps


def _ints(values: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in values)


def _conv2d(node: Any, x: Tensor) -> Tensor:
    weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    geometry = (_ints(node.stride), _ints(node.padding), _ints(node.dilation), int(node.groups))
    return F.conv2d(x, weight, bias, *geometry)


def _conv1d(node: Any, x: Tensor) -> Tensor:
    weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    geometry = (int(node.stride), int(node.padding), int(node.dilation), int(node.groups))
    return F.conv1d(x, weight, bias, *geometry)


STATELESS: dict[type, Callable[[Any, Tensor], Tensor]] = {
    nir.Input: lambda node, x: x,
    nir.Output: lambda node, x: x,
    nir.IF: lambda node, x: x,
    nir.Conv1d: _conv1d,
    nir.Conv2d: _conv2d,
    nir.Affine: lambda node, x: F.linear(
        x, torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    ),
    nir.AvgPool2d: lambda node, x: F.avg_pool2d(x, _ints(node.kernel_size), _ints(node.stride)),
    nir.Scale: lambda node, x: x * torch.from_numpy(node.scale),
    nir.Flatten: lambda node, x: x.reshape(len(x), -1),
}


def naive(node: Any, like: Tensor) -> Neurons:
    """What the metadata says, in as many lines."""
    theta = torch.from_numpy(node.metadata["reset_by"])
    v = torch.from_numpy(node.metadata["v_init"]).expand_as(like)

    def advance(current: Tensor) -> Tensor:
        nonlocal v
        v = v + current
        spikes = (v >= theta).to(v.dtype)
        v = v - theta * spikes
        return spikes

    return advance


def by_fields(node: Any, like: Tensor) -> Neurons:
    """NIR's own fields, read with `>`, and the one threshold subtracted too."""
    theta = torch.from_numpy(node.v_threshold)
    v = torch.from_numpy(node.metadata["v_init"]).expand_as(like)

    def advance(current: Tensor) -> Tensor:
        nonlocal v
        v = v + current
        spikes = (v > theta).to(v.dtype)
        v = v - theta * spikes
        return spikes

    return advance


def sinabs(node: Any, like: Tensor) -> Neurons:
    """An IAF layer of Sinabs: `>=`, one spike a step, subtraction, no lower bound."""
    activation = pytest.importorskip("sinabs.activation", reason="sinabs is not installed")
    layers = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")
    iaf = layers.IAF(
        spike_threshold=torch.from_numpy(node.metadata["reset_by"]),
        spike_fn=activation.SingleSpike,
        reset_fn=activation.MembraneSubtract(),
        min_v_mem=None,
    )
    iaf.v_mem = torch.from_numpy(node.metadata["v_init"]).expand_as(like).clone()

    def advance(current: Tensor) -> Tensor:
        with torch.no_grad():
            return iaf(current[:, None])[:, 0].to(current.dtype)  # [B, T = 1, *S]

    return advance


def snntorch(node: Any, like: Tensor) -> Neurons:
    """A Leaky layer of snnTorch with beta = 1: `>`, the subtraction one step later.

    With `reset_delay=False` it loses spikes: see `test_nir_simulators.py`.
    """
    package = pytest.importorskip("snntorch", reason="snntorch is not installed")
    threshold = torch.from_numpy(node.v_threshold)
    leaky = package.Leaky(beta=1.0, threshold=threshold, reset_mechanism="subtract")
    v = torch.from_numpy(node.metadata["v_init"]).expand_as(like).clone()

    def advance(current: Tensor) -> Tensor:
        nonlocal v
        with torch.no_grad():
            spikes, v = leaky(current, v)
        return spikes.to(current.dtype)

    return advance


READERS = {"naive": naive, "sinabs": sinabs, "snntorch": snntorch}
