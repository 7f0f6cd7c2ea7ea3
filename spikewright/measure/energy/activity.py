"""What the neurons of a network send for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from spikewright.graph import Kind, Operation
from spikewright.graph.inputs import Batch
from spikewright.measure.energy.written import Trains, Written
from spikewright.network import Engine, Observer, SpikingNetwork
from spikewright.network.engine import chosen
from spikewright.network.plan import Plan


@dataclass(frozen=True)
class Activity:
    """What one site sent.

    Attributes:
        spikes: spikes of every neuron, all samples and steps, of either sign, float64 `[1, *S]`.
        counts: count of every neuron and sample, float64 `[R, *S]`, where a max pool asks for them.
            A rehearsal's counts are rows of their own beside those of the window.
    """

    spikes: Tensor
    counts: Tensor | None


@dataclass(frozen=True)
class Activities:
    """What a network sent for a batch under one code.

    Attributes:
        sites: the activity of every site, by name.
        maxima: by operation, the events that left maxima for all samples, float64 `[1, *S]`, where
            counts do not tell it.
        settling: time steps after the window until nothing was sent, all samples together.
        latest: the most of one sample.
    """

    sites: dict[str, Activity] = field(default_factory=dict[str, Activity])
    maxima: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    settling: int = 0
    latest: int = 0


def observe_activity(
    network: SpikingNetwork,
    shown: Batch,
    steps: int,
    *,
    seed: int,
    engine: Engine | str,
    trains: Trains,
    codes: Sequence[Written],
) -> tuple[Any, list[Activities]]:
    """Simulate a batch and add up the spikes of every neuron.

    Args:
        network: the network to run; a compiled one runs uncompiled, to observe single neurons.
        shown: a batch of all inputs, or frames `[T, B, *S]` of the one.
        steps: T.
        seed: the seed of the random draws.
        engine: as in `SpikingNetwork.forward`.
        trains: of the network, which tell what is asked of maxima.
        codes: the neurons of each code, which send the same counts in other numbers of spikes.

    Returns:
        The network's answer, and the activities under each code.
    """
    plan, pooled = network.plan(steps), trains.sites_before_maxima
    graded = any(neuron.largest_spike > 1 for neuron in network.neurons.values())
    if plan.settling != 0 or graded:
        answer, activities = _step_by_step(network, plan, shown, seed, engine, trains)
        return answer, [activities]
    counts: dict[str, Tensor] = {}
    by_code = [Activities() for _ in codes]

    def settle(site: str, count: Tensor) -> None:
        rows = count.double().cpu()
        for activities, code in zip(by_code, codes, strict=True):
            spikes = code.neurons[site].spikes_of(rows).sum(0, keepdim=True)
            activities.sites[site] = Activity(spikes, rows if site in pooled else None)

    def layer(op: Operation, charge: Tensor, count: Tensor, residual: Tensor | None) -> None:
        assert op.site is not None
        settle(op.site.name, count)

    def train(op: Operation, start: int, spikes: Tensor) -> None:
        assert op.site is not None
        part = plan.spike_weights(op.site.name, start, len(spikes)).to(spikes)
        rehearsed, counted = (part == 0).to(part.dtype), part
        windows = [rehearsed, counted] if bool((plan.weights == 0).any()) else [counted]
        rows = torch.cat([torch.tensordot(w, spikes, dims=1) for w in windows])
        known = counts.get(op.site.name)
        counts[op.site.name] = rows if known is None else known + rows

    stepwise = chosen(engine, network.neurons) is Engine.STEPS
    observer = Observer(spikes=train) if stepwise else Observer(layer=layer)
    answer = network.observe(shown, observer, steps=steps, engine=engine, seed=seed)
    for site, rows in counts.items():
        settle(site, rows)
    return answer, by_code


def _step_by_step(
    network: SpikingNetwork,
    plan: Plan,
    shown: Batch,
    seed: int,
    engine: Engine | str,
    trains: Trains,
) -> tuple[Any, Activities]:
    """What a network sends whose counts do not tell all of it: every spike seen when it leaves.

    Neurons that take spikes back send more than their count. What leaves a maximum of spikes that
    are powers of two need be none: it is written in as many as it takes.
    """
    spikes: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    activities = Activities()

    def train(op: Operation, start: int, sent: Tensor) -> None:
        assert op.site is not None
        site, numbers = op.site.name, sent.double().cpu()
        spikes[site] = spikes.get(site, 0.0) + (numbers != 0).double().sum((0, 1))[None]
        if site in trains.sites_before_maxima:
            weights = plan.spike_weights(site, start, len(numbers))
            counts[site] = counts.get(site, 0.0) + torch.tensordot(weights, numbers, dims=1)

    def ran(op: Operation, start: int, steps: int, inputs: tuple[Any, ...], value: Any) -> None:
        if op.kind is Kind.MAX and trains.carries_counts(op.name):
            sent = trains.spikes_of(op.name, value.double().cpu().abs()).sum(0, keepdim=True)
            activities.maxima[op.name] = activities.maxima.get(op.name, 0.0) + sent

    def settled(after: Tensor) -> None:
        steps = after - network.latency(plan.steps)
        settling.append((int(steps.sum()), int(steps.max())))

    settling: list[tuple[int, int]] = []
    observer = Observer(spikes=train, ran=ran, settled=settled)
    answer = network.observe(shown, observer, steps=plan.steps, engine=engine, seed=seed)
    sites = {site: Activity(sent, counts.get(site)) for site, sent in spikes.items()}
    ((total, latest),) = settling
    return answer, replace(activities, sites=sites, settling=total, latest=latest)
