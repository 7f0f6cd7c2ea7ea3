"""What the neurons of a network send for a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spikewright.graph import Operation
from spikewright.network import Engine, Observer, SpikingNetwork
from spikewright.network.engine import chosen
from spikewright.neurons import Neuron


@dataclass(frozen=True)
class Activity:
    """What one site sent.

    Attributes:
        spikes: spikes of every neuron, all samples and steps, float64 `[1, *S]`.
        counts: count of every neuron and sample, float64 `[R, *S]`, where a max pool asks for them.
            A rehearsal's counts are rows of their own beside those of the window.
    """

    spikes: Tensor
    counts: Tensor | None


Activities = dict[str, Activity]
"""The activity of every site, by name."""


@dataclass(frozen=True)
class Written:
    """The same counts written by certain neurons.

    Attributes:
        neurons: neurons by site, all of one code and of the network's own count law.
        steps: T of their window, in which they count at least as far as the network does.
    """

    neurons: Mapping[str, Neuron]
    steps: int


def observe_activity(
    network: SpikingNetwork,
    shown: Tensor,
    steps: int,
    *,
    seed: int,
    engine: Engine | str,
    pooled: frozenset[str],
    codes: Sequence[Written],
) -> tuple[Tensor, list[Activities]]:
    """Simulate a batch and add up the spikes of every neuron.

    Args:
        network: the network to run; a compiled one runs uncompiled, to observe single neurons.
        shown: `[B, *S]`, or frames `[T, B, *S]`.
        steps: T.
        seed: the seed of the random draws.
        engine: as in `SpikingNetwork.forward`.
        pooled: sites whose counts are kept.
        codes: the neurons of each code, which send the same counts in other numbers of spikes.

    Returns:
        The network's answer, and the activities under each code.
    """
    weights = network.plan(steps).weights
    counts: dict[str, Tensor] = {}
    by_code: list[Activities] = [{} for _ in codes]

    def settle(site: str, count: Tensor) -> None:
        rows = count.double().cpu()
        for activities, code in zip(by_code, codes, strict=True):
            spikes = code.neurons[site].spikes_of(rows).sum(0, keepdim=True)
            activities[site] = Activity(spikes, rows if site in pooled else None)

    def layer(op: Operation, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        assert op.site is not None
        settle(op.site.name, count)

    def train(op: Operation, start: int, spikes: Tensor) -> None:
        assert op.site is not None
        part = weights[start : start + len(spikes)].to(spikes.device, spikes.dtype)
        rehearsed, counted = (part == 0).to(part.dtype), part
        windows = [rehearsed, counted] if bool((weights == 0).any()) else [counted]
        rows = torch.cat([torch.tensordot(w, spikes, dims=1) for w in windows])
        known = counts.get(op.site.name)
        counts[op.site.name] = rows if known is None else known + rows

    stepwise = chosen(engine, network.neurons) is Engine.STEPS
    observer = Observer(spikes=train) if stepwise else Observer(layer=layer)
    answer = network.observe(shown, observer, steps=steps, engine=engine, seed=seed)
    for site, rows in counts.items():
        settle(site, rows)
    return answer, by_code
